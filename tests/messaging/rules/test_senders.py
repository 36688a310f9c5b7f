"""Bulk mail comes from a known sender, and no faster than that sender may."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.models import AuditEntry
from webapp.messaging.errors import (
    InvalidAddress,
    InvalidHeader,
    InvalidSender,
    NoSuchSender,
    SenderOff,
    SenderTaken,
)
from webapp.messaging.models import MailSender
from webapp.messaging.services.senders import (
    Identity,
    SenderDetails,
    create_sender,
    edit_sender,
    make_default,
    sender_for,
)

NEWS = SenderDetails("Birch News", "News@BIRCH.example", reply_to="help@birch.example", per_day=500)


def test_without_a_default_mail_comes_from_the_shop(app: Flask) -> None:
    shop = sender_for(None)
    assert (shop.named, shop.reply_to) == (
        "Birch & Wool <hello@birch.example>",
        "help@birch.example",
    )
    assert shop == Identity("Birch & Wool", "hello@birch.example", "help@birch.example")
    news = create_sender(NEWS, OPERATOR)
    assert sender_for(None) == shop
    make_default(news.id, OPERATOR)
    assert sender_for(None).address == "News@birch.example"
    assert sender_for(None) == sender_for(news.id)


def test_there_is_one_default_and_it_cant_be_switched_off(session: Session) -> None:
    first = create_sender(NEWS, OPERATOR)
    second = create_sender(replace(NEWS, address="offers@birch.example"), OPERATOR)
    for sender in (first, second, second):
        make_default(sender.id, OPERATOR)
    session.commit()
    assert session.scalars(select(MailSender.id).where(MailSender.is_default)).all() == [second.id]
    off = replace(NEWS, address="offers@birch.example", active=False)
    with pytest.raises(InvalidSender, match="Make another sender the default"):
        edit_sender(second.id, off, OPERATOR)
    edit_sender(first.id, replace(NEWS, active=False), OPERATOR)
    for refused in (lambda: sender_for(first.id), lambda: make_default(first.id, OPERATOR)):
        with pytest.raises(SenderOff, match="switched off"):
            refused()
    with pytest.raises(NoSuchSender):
        sender_for(first.id + second.id)
    actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions == ["sender.created"] * 2 + ["sender.made_default"] * 2 + ["sender.edited"]


def test_an_address_has_one_sender(app: Flask) -> None:
    create_sender(NEWS, OPERATOR)
    other = create_sender(replace(NEWS, address="offers@birch.example"), OPERATOR)
    with pytest.raises(SenderTaken):
        create_sender(replace(NEWS, name="Again"), OPERATOR)
    with pytest.raises(SenderTaken):
        edit_sender(other.id, NEWS, OPERATOR)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": " "}, InvalidSender),
        ({"name": "Birch\r\nBcc: eve@example.com"}, InvalidHeader),
        ({"address": "nobody"}, InvalidAddress),
        ({"reply_to": "nobody"}, InvalidAddress),
        ({"per_second": 0}, InvalidSender),
        ({"per_day": -1}, InvalidSender),
        ({"warmup": [50, 100]}, InvalidSender),
        ({"warmup_from": date(2026, 3, 1)}, InvalidSender),
        ({"warmup": [50, 0], "warmup_from": date(2026, 3, 1)}, InvalidSender),
    ],
)
def test_what_cant_be_is_refused(
    app: Flask, changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        create_sender(replace(NEWS, **changes), OPERATOR)


def test_the_warm_up_holds_until_its_end_and_then_the_day_alone(app: Flask) -> None:
    first = datetime(2026, 3, 1, tzinfo=UTC)
    plan: dict[str, Any] = {"warmup": [50, 100, 1000], "warmup_from": first.date()}
    sender = create_sender(replace(NEWS, **plan), OPERATOR)

    def limits(days: range) -> list[int | None]:
        found = []
        for day in days:
            with clock.frozen(first + timedelta(days=day, hours=23)):
                found.append(sender_for(sender.id).day_limit_today)
        return found

    assert limits(range(-1, 5)) == [50, 50, 100, 500, 500, 500]
    edit_sender(sender.id, replace(NEWS, per_day=None, **plan), OPERATOR)
    assert limits(range(2, 4)) == [1000, None]
