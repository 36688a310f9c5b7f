"""Colours, pictures, robots and the site's map."""

from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.storefront.conftest import Shelves
from webapp.core.models import Shop
from webapp.core.state import current_fork
from webapp.storefront.brand import DARK_PAPER, PAPER, brand_css, contrast


def colours(css: str) -> dict[str, str]:
    inner = css[css.index("{") + 1 : css.index("}")]
    return dict(part.split(":") for part in inner.split(";") if part)


@pytest.mark.parametrize(
    "accent",
    ["#1f5eff", "#2f5d50", "#ffff00", "#ffffff", "#000000", "#808080", "#ff0000", "#00ff00"],
)
def test_text_on_the_brand_colour_can_be_read(accent: str) -> None:
    found = colours(brand_css(accent))
    assert contrast(found["--accent"], found["--on-accent"]) >= 4.5
    assert contrast(found["--accent-dark"], found["--on-accent-dark"]) >= 4.5
    assert contrast(found["--accent"], PAPER) >= 3
    assert contrast(found["--accent-dark"], DARK_PAPER) >= 3


def test_a_good_brand_colour_is_left_alone() -> None:
    assert colours(brand_css("#1f5eff"))["--accent"] == "#1f5eff"


def test_a_colour_that_is_none_cannot_write_css() -> None:
    assert brand_css("red;}body{display:none") == ":root{}\n"


def test_the_brand_is_asked_about_again_cheaply(client: FlaskClient, session: Session) -> None:
    first = client.get("/brand.css")
    assert first.mimetype == "text/css"
    etag = first.headers["ETag"]
    assert client.get("/brand.css", headers={"If-None-Match": etag}).status_code == 304
    session.get_one(Shop, 1).accent = "#aa0000"
    session.commit()
    changed = client.get("/brand.css", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert "#aa0000" in changed.text


def test_a_picture_is_served_for_ever_and_nothing_beside_it(client: FlaskClient) -> None:
    folder = current_fork().upload_folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a1.jpg").write_bytes(b"\xff\xd8\xff")
    (folder.parent / "secret.txt").write_text("no")
    answer = client.get("/media/pictures/a1.jpg")
    assert answer.status_code == 200
    assert answer.mimetype == "image/jpeg"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in answer.headers["Cache-Control"]
    for path in ("../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "none.jpg", "a%00.jpg"):
        assert client.get(f"/media/pictures/{path}").status_code == 404


def test_robots_and_favicon_are_there(client: FlaskClient) -> None:
    robots = client.get("/robots.txt")
    assert "Disallow: /cart" in robots.text
    assert "Sitemap: http://localhost/sitemap.xml" in robots.text
    assert client.get("/favicon.ico").mimetype == "image/svg+xml"


def test_the_map_of_the_site_leads_to_every_page(client: FlaskClient, shelves: Shelves) -> None:
    shelves.collect("rings", "Rings", shelves.add("größe & co"))
    found = set()
    for part in locations(client, "/sitemap.xml"):
        found |= set(locations(client, part.removeprefix("http://localhost")))
    assert "http://localhost/collections/rings" in found
    assert "http://localhost/products/gr%C3%B6%C3%9Fe%20%26%20co" in found
    for address in found:
        assert client.get(address.removeprefix("http://localhost")).status_code == 200
    assert client.get("/sitemap-products-99999999999999999999.xml").status_code == 404


def locations(client: FlaskClient, path: str) -> list[str]:
    answer = client.get(path)
    assert answer.mimetype == "application/xml"
    root = ElementTree.fromstring(answer.data)
    return [
        node.text or "" for node in root.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")
    ]
