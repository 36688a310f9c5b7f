"""A mail is a row, made with the thing it tells about, once."""

from collections.abc import Callable
from threading import Barrier, Thread

import pytest
from flask import Flask
from sqlalchemy import func, select

from webapp.core.db import db
from webapp.core.models import Job, Shop
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.models import Mail, MailState
from webapp.messaging.queries import list_mails
from webapp.messaging.services import post

Templates = Callable[..., None]


def note(recipient: str = "alice@example.org", key: str = "note:1", **context: object) -> Mail:
    return post("note", recipient, context, dedupe_key=key, subject_ref="order:42")


def test_it_writes_the_mail_and_promises_its_delivery(app: Flask, templates: Templates) -> None:
    templates("note", subject="For {{ name }}\n", words="Dear {{ name }}", html="<p>{{ name }}</p>")
    mail = note(name="Bob & Co")
    db.session.commit()
    assert (mail.subject, mail.text) == ("For Bob & Co", "Dear Bob & Co\n")
    assert "<p>Bob &amp; Co</p>" in mail.html
    assert mail.sender == "Birch & Wool <hello@birch.example>"
    assert mail.reply_to == "help@birch.example"
    assert mail.state is MailState.PENDING
    assert len(mail.code) >= 16
    job = db.session.scalars(select(Job)).one()
    assert (job.path, job.args, job.queue) == ("jobs.messaging.deliver", [mail.id], "mail")
    assert job.subject == "order:42"


def test_a_rollback_takes_the_mail_and_its_job_along(app: Flask, templates: Templates) -> None:
    templates("note")
    note()
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(Mail)) == 0
    assert db.session.scalar(select(func.count()).select_from(Job)) == 0


def test_the_same_key_is_the_same_mail(app: Flask, templates: Templates) -> None:
    templates("note", subject="{{ n }}")
    first = note(n="one")
    db.session.commit()
    second = note(n="two")
    db.session.commit()
    assert second.id == first.id
    assert second.subject == "one"
    assert db.session.scalar(select(func.count()).select_from(Job)) == 1


def test_ten_at_once_with_one_key_make_one_mail(app: Flask, templates: Templates) -> None:
    templates("note")
    start, ids = Barrier(10), []

    def run() -> None:
        with app.app_context():
            start.wait()
            mail = note()
            db.session.commit()
            ids.append(mail.id)

    threads = [Thread(target=run) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 10
    assert len(set(ids)) == 1
    assert db.session.scalar(select(func.count()).select_from(Job)) == 1


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\x00"])
def test_a_line_break_in_the_subject_is_refused(
    app: Flask, templates: Templates, break_: str
) -> None:
    templates("note", subject="Order of {{ name }}!")
    with pytest.raises(InvalidHeader):
        note(name=f"Eve{break_}Bcc: all@example.org")


@pytest.mark.parametrize(
    "address",
    [
        "eve@example.org\r\nBcc: all@example.org",
        "eve@example.org\nRCPT TO:<all@example.org>",
        "eve@example.org, all@example.org",
        "<eve@example.org>",
        "eve@exa mple.org",
        "eve@a@example.org",
        "eve",
        "",
        "a" * 250 + "@example.org",
        "eve@xn--\u00fc\u2028.example",
    ],
)
def test_what_is_not_one_address_is_refused_without_repeating_it(
    app: Flask, templates: Templates, address: str
) -> None:
    templates("note")
    with pytest.raises((InvalidAddress, InvalidHeader)) as caught:
        note(recipient=address)
    assert "eve" not in caught.value.sentence


@pytest.mark.parametrize("field", ["sender_name", "sender_email", "support_email"])
def test_a_line_break_in_the_shops_settings_is_refused(
    app: Flask, templates: Templates, field: str
) -> None:
    templates("note")
    shop = db.session.get_one(Shop, 1)
    setattr(shop, field, "a@example.org\r\nBcc: all@example.org")
    with pytest.raises((InvalidAddress, InvalidHeader)):
        note()


def test_international_domains_are_written_as_dns_knows_them(
    app: Flask, templates: Templates
) -> None:
    templates("note")
    assert note("alice@Bücher.example").recipient == "alice@xn--bcher-kva.example"
    assert note("Alice@EXAMPLE.org", key="note:2").recipient == "Alice@example.org"
    # Not after the letter of the RFC, but such mailboxes exist and buy.
    assert note("alice..b.@docomo.example", key="note:3").recipient == "alice..b.@docomo.example"


def test_styles_are_put_inline_and_nothing_is_fetched(app: Flask, templates: Templates) -> None:
    templates(
        "note",
        html="<html><head><style>p { color: red }</style><style data-css-inline='keep'>"
        "@media print { p { color: blue } }</style>"
        "<link rel='stylesheet' href='http://127.0.0.1:9/x.css'></head><body><p>Hi</p></body></html>",
    )
    html = note().html
    assert '<p style="color: red;">Hi</p>' in html
    assert "@media print" in html


def test_a_timeline_lists_the_mails_of_its_subject(app: Flask, templates: Templates) -> None:
    templates("note")
    first, second = note(key="note:1"), note(key="note:2")
    post("note", "bob@example.org", {}, dedupe_key="note:3", subject_ref="order:43")
    db.session.commit()
    assert [line.id for line in list_mails("order:42")] == [first.id, second.id]
