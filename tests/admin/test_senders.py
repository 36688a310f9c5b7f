"""The room of senders: who campaigns come from, how fast, and what is left of today."""

import re
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting
from webapp.accounts.models import Role
from webapp.core import clock
from webapp.core.models import AuditEntry
from webapp.messaging.models import MailDomainLimit, MailSender, MailSenderDay

ROOM = "/admin/senders/"
TYPED = {"name": "Northwind", "address": "news@shop.example", "active": "y"}


def make_sender(session: Session, address: str = "news@shop.example", **values: object) -> int:
    sender = MailSender(name="Northwind", address=address, **values)
    session.add(sender)
    session.commit()
    return sender.id


def test_a_sender_is_made_and_its_warm_up_says_what_is_left_today(
    owner: FlaskClient, session: Session
) -> None:
    begins = clock.now().date() - timedelta(days=1)
    plan = {"warmup_from": begins.isoformat(), "warmup": "50, 100\n200"}
    answer = owner.post(f"{ROOM}new/", data=TYPED | plan | {"per_day": "5000"})
    assert answer.status_code == 303, answer.text
    sender = session.scalars(select(MailSender)).one()
    assert (sender.warmup, sender.per_day) == ([50, 100, 200], 5000)
    session.add(MailSenderDay(sender_id=sender.id, day=clock.now().date(), taken=30))
    session.commit()
    page = owner.get(answer.location).text
    assert re.search(r"Today&#39;s limit</dt><dd>100<", page)
    assert re.search(r"Left today</dt><dd>70<", page)
    assert "Today 100 may leave." in page
    edit = owner.get(f"{ROOM}edit/?id={sender.id}").text
    assert ">50, 100, 200</textarea>" in edit.replace("\r", "").replace(">\n", ">")
    wrong = owner.post(f"{ROOM}new/", data=TYPED | {"address": "b@shop.example", "warmup": "many"})
    assert "is no number of mails" in wrong.text
    taken = owner.post(f"{ROOM}new/", data=TYPED)
    assert taken.status_code == 422
    assert len(session.scalars(select(MailSender)).all()) == 1


def test_one_sender_is_the_default_however_often_it_is_pressed(
    owner: FlaskClient, session: Session
) -> None:
    first = make_sender(session, is_default=True)
    second = make_sender(session, "offers@shop.example")
    for _ in range(2):
        assert "now come from" in act(owner, f"{ROOM}make-default/", id=second)
    session.expire_all()
    found = session.scalars(select(MailSender).where(MailSender.is_default)).all()
    assert [sender.id for sender in found] == [second] != [first]
    deeds = select(AuditEntry.action).where(AuditEntry.action == "sender.made_default")
    assert len(session.scalars(deeds).all()) == 1


def test_a_domain_gets_a_limit_and_loses_it(owner: FlaskClient, session: Session) -> None:
    set_limit = f"{ROOM}domain-limit/"
    assert "has its limit" in act(owner, set_limit, domain="Example.com", per_second="20")
    assert "has its limit" in act(owner, set_limit, domain="example.com", per_second="30")
    found = session.scalars(select(MailDomainLimit)).one()
    session.refresh(found)
    assert (found.domain, found.per_second) == ("example.com", 30)
    assert "example.com" in owner.get(ROOM).text
    for domain, rate in (
        ("not a domain", "5"),
        ("example.com", "-1"),
        ("example.com", "1e3"),
        ("", ""),
    ):
        act(owner, set_limit, domain=domain, per_second=rate)
        session.refresh(found)
        assert found.per_second == 30, (domain, rate)
    assert "has no limit any more" in act(owner, set_limit, domain="example.com", per_second="")
    assert session.scalars(select(MailDomainLimit)).all() == []


def test_the_list_tells_all_senders_and_how_mails_leave_in_few_statements(
    owner: FlaskClient, session: Session
) -> None:
    for number in range(8):
        make_sender(session, f"s{number}@shop.example")
    with counting() as statements:
        page = owner.get(ROOM).text
    assert len(statements) <= DOOR + 6, "\n".join(statements.statements)
    assert page.count("@shop.example") >= 8
    assert "Set DKIM_DOMAIN" in page
    assert "Set BOUNCE_ADDRESS" in page
    assert "PRIVATE KEY-" not in page


def test_senders_are_changed_by_those_who_set_the_shop_up(enter: Enter, session: Session) -> None:
    sender = make_sender(session)
    viewer, manager = enter(Role.VIEWER), enter(Role.MANAGER)
    assert viewer.get(f"{ROOM}details/?id={sender}").status_code == 200
    assert "Set the limit" not in manager.get(ROOM).text
    for path in ("new/", f"edit/?id={sender}", "make-default/", "domain-limit/"):
        assert manager.post(f"{ROOM}{path}", data=TYPED | {"id": sender}).status_code == 403
