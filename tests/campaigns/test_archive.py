"""Mails as pages: public ones in the archive and its feed, and one's own copy for oneself."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.attacks.pages import Page
from tests.factories.emails import code_of, leaving_token, make_frozen, recipient_of
from webapp.campaigns.codes import write_leaving
from webapp.campaigns.erased import ERASED_AT
from webapp.campaigns.models import Email, EmailState, TrackingOptOut
from webapp.campaigns.services.archiving import PAGE_SIZE
from webapp.campaigns.services.settings import SettingsDetails, edit_settings
from webapp.core.audit import OPERATOR
from webapp.core.db import db

ALICE = "alice@example.com"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ATOM = "{http://www.w3.org/2005/Atom}"


def publish(slug: str, subject: str = "News", *, at: datetime = NOON, **changes: object) -> Email:
    email = make_frozen([ALICE], state=EmailState.SENT)
    email.public, email.slug, email.finished_at = True, slug, at
    email.variants[0].subject = subject
    email.variants[0].preheader = "Hello {{first_name|you}} of {{shop_name}}"
    for name, value in changes.items():
        setattr(email, name, value)
    db.session.commit()
    return email


def close() -> None:
    edit_settings(SettingsDetails(archive=False), OPERATOR)
    db.session.commit()


def test_the_archive_lists_public_mails_newest_first(client: FlaskClient, session: Session) -> None:
    assert "Nothing here yet" in client.get("/archive").text
    assert "/feed.xml" not in client.get("/").text
    publish("older", "For {{first_name | everybody}} <b>", at=NOON - timedelta(days=1))
    publish("newer", "Fresh")
    publish("secret", "Not for all", public=False)
    publish("early", "Still going", state=EmailState.SENDING)
    page = client.get("/archive").text
    assert page.index("Fresh") < page.index("For everybody &lt;b&gt;")
    assert "Hello you of Northwind Goods" in page
    assert "Not for all" not in page
    assert "Still going" not in page
    assert Page(page).faults == []
    assert 'type="application/atom+xml"' in client.get("/").text
    assert client.get("/archive/newer").status_code == 200
    for path in ("/archive/secret", "/archive/early/mail", "/archive/x", "/archive?page=2"):
        assert client.get(path).status_code == 404, path
    close()
    for path in ("/archive", "/archive/newer", "/archive/newer/mail", "/feed.xml"):
        assert client.get(path).status_code == 404, path
    assert "/feed.xml" not in client.get("/").text


def test_the_archive_has_pages(client: FlaskClient) -> None:
    for number in range(PAGE_SIZE + 1):
        publish(f"mail-{number}", f"Mail {number}.", at=NOON + timedelta(days=number))
    assert f"Mail {PAGE_SIZE}." in client.get("/archive").text
    assert "Mail 0." not in client.get("/archive").text
    assert "Mail 0." in client.get("/archive?page=2").text
    for wrong in ("0", "3", "-1", "x", "9" * 9):
        assert client.get(f"/archive?page={wrong}").status_code == 404


def test_an_archived_mail_is_anybodys_and_can_do_nothing(client: FlaskClient) -> None:
    email = publish("spring")
    page = client.get("/archive/spring").text
    assert Page(page).faults == []
    assert 'src="/archive/spring/mail"' in page
    answer = client.get("/archive/spring/mail")
    assert "Hello there" in answer.text
    assert '<a href="http://localhost/products">' in answer.text
    assert '<a href="http://localhost/newsletter">' in answer.text
    assert "{{" not in answer.text
    assert "/o/" not in answer.text
    assert "/c/" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "Set-Cookie" not in answer.headers
    # The winner of a test is what most people got.
    email.ab_winner = 1
    db.session.commit()
    assert client.get("/archive/spring/mail").status_code == 200


def test_the_feed_is_atom_and_knows_what_a_reader_has(client: FlaskClient) -> None:
    empty = ElementTree.fromstring(client.get("/feed.xml").data)
    assert empty.findtext(f"{ATOM}updated") == "1970-01-01T00:00:00+00:00"
    publish("a-b", "Tea & <cake>")
    answer = client.get("/feed.xml", headers={"Host": "evil.example"})
    assert answer.mimetype == "application/atom+xml"
    feed = ElementTree.fromstring(answer.data)
    assert feed.findtext(f"{ATOM}id") == "http://localhost/archive"
    assert feed.findtext(f"{ATOM}author/{ATOM}name") == "Northwind Goods"
    entry = feed.find(f"{ATOM}entry")
    assert entry is not None
    assert entry.findtext(f"{ATOM}title") == "Tea & <cake>"
    assert entry.findtext(f"{ATOM}id") == "http://localhost/archive/a-b"
    assert entry.findtext(f"{ATOM}updated") == "2026-05-04T12:00:00+00:00"
    for known in (
        {"If-None-Match": answer.headers["ETag"]},
        {"If-Modified-Since": answer.headers["Last-Modified"]},
    ):
        again = client.get("/feed.xml", headers=known)
        assert again.status_code == 304
        assert again.data == b""


def test_ones_own_copy_has_ones_own_words_and_way_out(
    client: FlaskClient, session: Session
) -> None:
    email = publish("own", public=False)
    alice = recipient_of(email, ALICE)
    alice.fields = {"first_name": "<i>Alice</i>"}
    session.commit()
    code, token = code_of(alice), leaving_token(email.id, alice.id)
    answer = client.get(f"/m/{token}")
    assert "Hello &lt;i&gt;Alice&lt;/i&gt;" in answer.text
    assert f'href="http://localhost/c/{code}/1"' in answer.text
    way_out = f"/u/{token}"
    assert f'href="http://localhost{way_out}"' in answer.text
    assert client.get(way_out).status_code == 200
    assert "/o/" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    session.add(TrackingOptOut(email=ALICE))
    session.commit()
    assert 'href="http://localhost/products"' in client.get(f"/m/{token}").text


def test_nobody_elses_copy_can_be_guessed(
    app: Flask, client: FlaskClient, session: Session
) -> None:
    email = publish("own")
    alice = recipient_of(email, ALICE)
    good = leaving_token(email.id, alice.id)
    guesses = [
        # A link to the shop is passed on to friends.
        code_of(alice),
        write_leaving(b"another key", email.id, alice.id),
        leaving_token(email.id + 1, alice.id),
        leaving_token(email.id, alice.id + 1000),
        good[:-1],
        "a" * 45,
        "é" * 45,
    ]
    for token in guesses:
        assert client.get(f"/m/{token}").status_code == 404
    assert client.get(f"/m/{good}").status_code == 200
    alice.address = f"erased-{alice.id}{ERASED_AT}"
    session.commit()
    assert client.get(f"/m/{good}").status_code == 404


def test_without_a_preheader_the_letters_beginning_is_told(client: FlaskClient) -> None:
    publish("long", "News")
    words = "News\n\nHello {{first_name|you}}, look <{{@click:1}}>: " + "wool " * 100
    email = db.session.scalars(select(Email)).one()
    email.variants[0].preheader = ""
    email.variants[0].text = words + "\n-- \nUnsubscribe: {{@leave}}\n"
    db.session.commit()
    page = client.get("/archive").text
    assert "<p>Hello you, look : wool wool" in page
    assert "wool…</p>" in page
