"""A member's addresses: one default at the most, never one too many, also under two hands."""

import uuid
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.factories.people import make_user
from tests.races import Race
from webapp.accounts.errors import NoSuchAddress, TooManyAddresses
from webapp.accounts.models import Address
from webapp.accounts.services.addresses import (
    MAX_ADDRESSES,
    PostalAddress,
    add_address,
    change_address,
    find_default_address,
    list_addresses,
    make_default,
    remove_address,
)
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import AuditEntry

pytest_plugins = ["tests.races"]

HOME = PostalAddress("Alice Doe", "1 Main Street", "Springfield", "US", postal_code="62701")
WORK = PostalAddress("Alice Doe", "2 Side Street", "Bern", "CH")


def add(user_id: uuid.UUID, wanted: PostalAddress = HOME) -> int:
    address_id = add_address(user_id, wanted, SYSTEM).id
    db.session.commit()
    return address_id


def defaults() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(select(Address.id).where(Address.is_default)))


def test_the_first_is_the_default_until_another_is_chosen(app: Flask) -> None:
    alice = make_user()
    home, work = add(alice.id), add(alice.id, WORK)
    assert defaults() == [home]
    make_default(alice.id, work, SYSTEM)
    db.session.commit()
    assert defaults() == [work]
    assert [each.id for each in list_addresses(alice.id)] == [work, home]


def test_removing_the_default_passes_it_on_to_the_newest(app: Flask) -> None:
    alice = make_user()
    home, _, newest = add(alice.id), add(alice.id, WORK), add(alice.id)
    remove_address(alice.id, home, SYSTEM)
    remove_address(alice.id, home, SYSTEM)
    db.session.commit()
    assert defaults() == [newest]


def test_nobody_reaches_into_anothers_list(app: Flask) -> None:
    alice, bob = make_user(), make_user("bob@example.com")
    home, bobs = add(alice.id), add(bob.id, WORK)
    with pytest.raises(NoSuchAddress):
        change_address(bob.id, home, WORK, SYSTEM)
    with pytest.raises(NoSuchAddress):
        make_default(bob.id, home, SYSTEM)
    remove_address(bob.id, home, SYSTEM)
    db.session.commit()
    assert sorted(defaults()) == sorted([home, bobs])


def test_the_audit_names_fields_and_no_street(app: Flask, session: Session) -> None:
    alice = make_user()
    home = add(alice.id)
    change_address(alice.id, home, WORK, SYSTEM)
    change_address(alice.id, home, WORK, SYSTEM)
    session.commit()
    entries = session.scalars(select(AuditEntry).where(AuditEntry.user_id == alice.id)).all()
    assert [entry.action for entry in entries] == ["address.added", "address.changed"]
    assert entries[1].details == {"fields": ["city", "country", "line1", "postal_code"]}


def test_two_tabs_cannot_keep_a_twenty_first(open_shop: Flask, race: Race) -> None:
    user_id = make_user().id
    for _ in range(MAX_ADDRESSES - 1):
        add(user_id)
    refused: list[str] = []

    def one_more() -> None:
        try:
            add(user_id)
        except TooManyAddresses as full:
            refused.append(full.sentence)

    race.run(one_more, one_more, one_more)
    db.session.rollback()
    assert len(list_addresses(user_id)) == MAX_ADDRESSES
    assert len(refused) == 2


def test_two_defaults_chosen_at_once_leave_one(open_shop: Flask, race: Race) -> None:
    user_id = make_user().id
    ids = [add(user_id) for _ in range(3)]
    race.run(*(_choosing(user_id, address_id) for address_id in ids))
    assert len(defaults()) == 1
    address = find_default_address(user_id)
    assert address is not None


def _choosing(user_id: uuid.UUID, address_id: int) -> Callable[[], None]:
    def choose() -> None:
        make_default(user_id, address_id, SYSTEM)
        db.session.commit()

    return choose
