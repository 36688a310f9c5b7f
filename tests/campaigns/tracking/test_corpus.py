"""Scanners, proxies, previews and readers as they are met, replayed at the front door."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.campaigns.tracking.conftest import (
    ALICE,
    FIREFOX,
    Ask,
    Sent,
    deliver,
    events_of,
    settle,
)
from tests.effort import calls_of
from tests.factories.emails import make_frozen, recipient_of
from webapp.campaigns.models import EmailLink, EmailUnsubscribe, TrackingEvent, TrackingKind
from webapp.campaigns.services.tracking.judging import FLOOD
from webapp.campaigns.services.tracking.verdicts import Delivery, Seen, decide
from webapp.core.db import db

CORPUS = Path(__file__).parent / "corpus"
Behaviour = dict[str, Any]


def read(folder: str) -> dict[str, Behaviour]:
    files = sorted((CORPUS / folder).glob("*.json"))
    assert len(files) >= 15
    return {f"{path.stem}@example.com": json.loads(path.read_text()) for path in files}


def asks_of(behaviour: Behaviour) -> list[Ask]:
    return [
        Ask(each["after"], each["ask"], each["method"], each["agent"], each["address"])
        for each in behaviour["requests"]
    ]


def replay(sent: Sent, behaviours: dict[str, Behaviour]) -> None:
    """Send every request of every behaviour, each to a recipient of its own, then judge."""
    email = make_frozen(list(behaviours), url="http://localhost/products")
    for number in range(3, 8):
        email.links.append(EmailLink(number=number, url=f"https://elsewhere.example/{number}"))
    deliver(email)
    sent.email = email
    for address, behaviour in behaviours.items():
        for ask in asks_of(behaviour):
            answer = sent.ask(ask, address)
            assert answer.status_code in (200, 302), (address, ask)
    settle(timedelta(days=400))


def found(sent: Sent, addresses: Sequence[str]) -> dict[str, tuple[bool, bool]]:
    """Return for each recipient whether a person opened and clicked."""
    rows = {address: recipient_of(sent.email, address) for address in addresses}
    return {
        address: (row.opened_at is not None, row.clicked_at is not None)
        for address, row in rows.items()
    }


def test_no_machine_is_taken_for_a_reader_and_none_unsubscribes_anybody(
    sent: Sent, session: Session
) -> None:
    machines = read("machines")
    replay(sent, machines)
    counted = {a: seen for a, seen in found(sent, list(machines)).items() if seen != (False, False)}
    assert counted == {}
    asked = [ask for each in machines.values() for ask in asks_of(each) if ask.what != "leave"]
    events = events_of(session)
    assert len(events) == len(asked)
    assert all(event.human is False and event.why for event in events)
    assert session.scalars(select(EmailUnsubscribe)).all() == []


def test_every_reader_is_counted(sent: Sent, session: Session) -> None:
    people = read("people")
    replay(sent, people)
    wanted = {address: (each["opened"], each["clicked"]) for address, each in people.items()}
    assert found(sent, list(people)) == wanted
    assert session.scalars(select(EmailUnsubscribe)).all() == []


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_in_which_events_arrive_changes_no_verdict(
    sent: Sent, session: Session, seed: int
) -> None:
    """Each event alone, drained and judged before the next one comes."""
    behaviours = read("people") | read("machines")
    chosen = dict(random.Random(seed).sample(sorted(behaviours.items()), 12))
    replay(sent, chosen)
    wanted = verdicts(session, sent)
    first = found(sent, list(chosen))
    session.query(TrackingEvent).delete()
    asks = [(address, ask) for address, each in chosen.items() for ask in asks_of(each)]
    random.Random(seed).shuffle(asks)
    for address, ask in asks:
        sent.ask(ask, address)
        settle(timedelta(days=400))
    assert verdicts(session, sent) == wanted
    assert found(sent, list(chosen)) == first


def verdicts(session: Session, sent: Sent) -> set[tuple[object, ...]]:
    session.expire_all()
    rows = session.scalars(select(TrackingEvent).where(TrackingEvent.email_id == sent.email.id))
    return {(e.recipient_id, e.at, e.kind, e.link, e.method, e.human, e.why) for e in rows}


def test_more_than_anybody_opens_is_a_machine_at_once(
    sent: Sent, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.campaigns.services.tracking.judging.FLOOD", 5)
    for second in range(6):
        sent.ask(Ask(60 + 30 * second, "open"))
    settle(timedelta(hours=1))
    assert {event.why for event in events_of(session)} == {"flood"}
    assert recipient_of(sent.email, ALICE).opened_at is None


def test_both_links_of_a_short_mail_at_once_are_a_sweep(sent: Sent, session: Session) -> None:
    for link in sent.email.links:
        if link.number > 3:
            session.delete(link)
    session.commit()
    for ask in (Ask(300, "link:1"), Ask(301.5, "link:3")):
        sent.ask(ask)
    settle(timedelta(minutes=10))
    assert [event.why for event in events_of(session)] == ["burst", "burst"]


def test_one_link_followed_again_and_again_is_judged_in_one_walk() -> None:
    begin = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    clicks = [
        Seen(n, TrackingKind.CLICK, 3, "GET", FIREFOX, "", begin + timedelta(milliseconds=20 * n))
        for n in range(FLOOD)
    ]
    verdicts, calls = calls_of(lambda: decide(Delivery(None, 5), clicks))
    assert set(verdicts.values()) == {""}
    assert calls < 50 * FLOOD
    # Three links in it are a program's, and those around the third with it.
    clicks[100], clicks[101] = replace(clicks[100], link=4), replace(clicks[101], link=5)
    assert set(decide(Delivery(None, 5), clicks).values()) == {"burst"}


def test_a_click_says_that_the_mail_was_opened(sent: Sent, session: Session) -> None:
    sent.ask(Ask(300, "link:3"))
    settle(timedelta(minutes=10))
    row = recipient_of(sent.email, ALICE)
    assert row.opened_at == row.clicked_at == events_of(session)[0].at
    assert events_of(session)[0].kind is TrackingKind.CLICK
    db.session.rollback()
