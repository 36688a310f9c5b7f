"""The mailbox sends mails back as real reports: what the shop reads in them is what was pressed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sandbox.mailbox.pages import create_pages
from sandbox.mailbox.refusals import Refusals
from sandbox.mailbox.returning import NotReturned, Shop
from sandbox.mailbox.store import Store
from webapp.messaging.bounces import Report, read
from webapp.messaging.models import BounceKind, ReportSource

CODE = "mfzwizlomv2gk3dmmvxgk43pnzsq2345"
SOURCE = f"Message-ID: <{CODE}@shop.example>\r\nSubject: News\r\n\r\nHello\r\n".encode()


class Ear(Shop):
    """A shop that only listens."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.is_up = True

    def receive(self, report: bytes, environ: dict[str, str]) -> str:
        if not self.is_up:
            raise NotReturned("The shop is not up yet.")
        self.heard.append(report)
        return "Received."

    def understood(self) -> Report:
        (claim,) = read(ReportSource.MAIL, self.heard[-1]).reports
        return claim


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def browser(store: Store, ear: Ear) -> FlaskClient:
    return create_pages(store, Refusals(), ear).test_client()


@pytest.mark.parametrize("to", ["bob@example.com", "алиса@почта.example"])
@pytest.mark.parametrize(
    ("way", "kind"),
    [("gone", BounceKind.HARD), ("full", BounceKind.SOFT), ("spam", BounceKind.COMPLAINT)],
)
def test_a_button_sends_the_mail_back(
    store: Store, browser: FlaskClient, ear: Ear, to: str, way: str, kind: BounceKind
) -> None:
    number = store.add(f"bounces+{CODE}@shop.example", [to], SOURCE)
    assert f"/back/{way}" in browser.get(f"/messages/{number}").text
    answer = browser.post(f"/messages/{number}/back/{way}", follow_redirects=True)
    assert "Received." in answer.text
    claim = ear.understood()
    assert (claim.kind, claim.codes, claim.email) == (kind, (CODE,), to)


def test_programs_bounce_with_the_reply_they_like(
    store: Store, browser: FlaskClient, ear: Ear
) -> None:
    number = store.add("hello@shop.example", ["bob@example.com"], SOURCE)
    reply = {"reply": "554 5.7.1 Taken for spam"}
    answer = browser.post(f"/api/messages/{number}/bounce", json=reply)
    assert (answer.status_code, answer.json) == (200, {"shop": "Received."})
    claim = ear.understood()
    assert (claim.kind, claim.status, claim.codes) == (BounceKind.SOFT, "5.7.1", (CODE,))
    assert browser.post(f"/api/messages/{number}/complaint").status_code == 200
    assert ear.understood().kind is BounceKind.COMPLAINT
    odd = browser.post(f"/api/messages/{number}/bounce", json={"reply": "no\r\nFoo: bar"})
    assert odd.status_code == 400
    assert browser.post("/api/messages/999/bounce").status_code == 404


def test_it_says_when_no_shop_takes_it(store: Store, browser: FlaskClient, ear: Ear) -> None:
    number = store.add("hello@shop.example", ["bob@example.com"], SOURCE)
    ear.is_up = False
    assert browser.post(f"/api/messages/{number}/bounce").status_code == 503
    page = browser.post(f"/messages/{number}/back/gone", follow_redirects=True)
    assert "not up yet" in page.text
    alone = create_pages(store, Refusals()).test_client()
    assert "/back/" not in alone.get(f"/messages/{number}").text
    assert "--shop" in alone.post(f"/api/messages/{number}/bounce").text
