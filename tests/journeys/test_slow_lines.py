"""Whoever is quicker than a page's script loses nothing by it."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.journeys.conftest import Demo, wait_for_held

pytestmark = pytest.mark.browser

SCRIPT = "**/js/app.js"


def test_a_filter_chosen_before_the_script_came_counts(demo: Demo, owner: Page) -> None:
    held: list[Route] = []
    owner.route(SCRIPT, lambda route: route.continue_() if held else held.append(route))
    owner.goto(f"{demo.web}/admin/orders/", wait_until="commit")
    owner.get_by_label("Status", exact=True).select_option(index=1)

    wait_for_held(owner, held, 1)
    owner.wait_for_timeout(600)
    assert "?" not in owner.url
    held[0].continue_()
    expect(owner).to_have_url(re.compile(r"status=open"))

    owner.go_back(wait_until="load")
    owner.wait_for_timeout(900)
    expect(owner.get_by_label("Status", exact=True)).to_have_value("")
    assert "?" not in owner.url
