"""A prospect is met once, keeps how, and stays as history when they turn out to be a member."""

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.factories.people import make_user
from webapp.accounts.models import Member, Prospect, ProspectSource, User
from webapp.accounts.services.prospects import convert, note_prospect
from webapp.core import clock
from webapp.core.models import AuditEntry


def member_of(session: Session, user: User) -> Member:
    return session.scalars(select(Member).where(Member.user_id == user.id)).one()


def test_meeting_again_keeps_the_first_source_and_fills_in_the_name(
    app: Flask, session: Session
) -> None:
    first = note_prospect("Alice@Example.com ", ProspectSource.NEWSLETTER)
    again = note_prospect("alice@example.com", ProspectSource.CONTACT, "Alice")
    last = note_prospect("alice@example.com", ProspectSource.PURCHASE, "Mallory")
    session.commit()
    assert first.id == again.id == last.id
    prospect = session.scalars(select(Prospect)).one()
    assert (prospect.email, prospect.name) == ("alice@example.com", "Alice")
    assert prospect.source is ProspectSource.NEWSLETTER
    assert prospect.member_id is None


def test_an_address_a_member_has_verified_is_converted_from_the_start(
    app: Flask, session: Session
) -> None:
    alice = make_user()
    prospect = note_prospect("alice@example.com", ProspectSource.CONTACT)
    assert prospect.member_id == member_of(session, alice).id
    assert prospect.converted_at is not None


def test_converting_ties_the_prospect_once(app: Flask, session: Session) -> None:
    prospect = note_prospect("alice@example.com", ProspectSource.PURCHASE, "Alice")
    alice = make_user()
    with clock.frozen(clock.now()) as _:
        assert convert(alice.id) == member_of(session, alice).id
    session.commit()
    session.expire_all()
    first = prospect.converted_at
    convert(alice.id)
    session.commit()
    session.expire_all()
    assert (prospect.converted_at, prospect.source) == (first, ProspectSource.PURCHASE)
    entries = select(AuditEntry).where(AuditEntry.action == "prospect.converted")
    assert [entry.user_id for entry in session.scalars(entries)] == [alice.id]


@pytest.mark.parametrize("other", ["bob@example.com", "alice@example.com"])
def test_nobody_gets_a_prospect_that_is_not_shown_to_be_theirs(
    app: Flask, session: Session, other: str
) -> None:
    prospect = note_prospect("alice@example.com", ProspectSource.PURCHASE)
    stranger = make_user(other, verified=other != "alice@example.com")
    convert(stranger.id)
    session.expire_all()
    assert prospect.member_id is None


def test_a_converted_prospect_does_not_change_hands(app: Flask, session: Session) -> None:
    prospect = note_prospect("alice@example.com", ProspectSource.PURCHASE)
    alice = make_user()
    convert(alice.id)
    alice.email = "new@example.com"
    session.flush()
    successor = make_user("alice@example.com")
    convert(successor.id)
    session.expire_all()
    assert prospect.member_id == member_of(session, alice).id
