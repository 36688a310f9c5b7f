"""A member's addresses: up to twenty, one of them where parcels go unless told otherwise."""

import uuid
from dataclasses import asdict, dataclass

from sqlalchemy import func, select, update

from webapp.accounts.errors import NoSuchAddress, TooManyAddresses
from webapp.accounts.models import Address, Member
from webapp.accounts.queries import find_member
from webapp.accounts.services.profile import make_member
from webapp.core.audit import Actor, record
from webapp.core.db import db

MAX_ADDRESSES = 20


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """An address as typed; ``country`` is an ISO 3166-1 alpha-2 code."""

    name: str
    line1: str
    city: str
    country: str
    line2: str = ""
    state: str = ""
    postal_code: str = ""
    phone: str = ""


def list_addresses(user_id: uuid.UUID) -> list[Address]:
    """Return the addresses of a user's member, the default first, then the newest."""
    mine = select(Address).join(Member, Member.id == Address.member_id)
    statement = mine.where(Member.user_id == user_id)
    return list(
        db.session.scalars(statement.order_by(Address.is_default.desc(), Address.id.desc()))
    )


def find_default_address(user_id: uuid.UUID) -> Address | None:
    return db.session.scalar(
        select(Address)
        .join(Member, Member.id == Address.member_id)
        .where(Member.user_id == user_id, Address.is_default)
    )


def get_address(user_id: uuid.UUID, address_id: int) -> Address:
    """Return one of the user's own addresses. Raises NoSuchAddress, also for somebody else's."""
    address = db.session.scalar(
        select(Address)
        .join(Member, Member.id == Address.member_id)
        .where(Address.id == address_id, Member.user_id == user_id)
    )
    if address is None:
        raise NoSuchAddress
    return address


def add_address(user_id: uuid.UUID, wanted: PostalAddress, by: Actor) -> Address:
    """Keep one more; the first becomes the default. Raises TooManyAddresses. Flushes."""
    member = make_member(user_id)
    _lock(member)
    mine = Address.member_id == member.id
    count = db.session.scalar(select(func.count()).select_from(Address).where(mine)) or 0
    if count >= MAX_ADDRESSES:
        raise TooManyAddresses(MAX_ADDRESSES)
    address = Address(member_id=member.id, is_default=count == 0, **asdict(wanted))
    db.session.add(address)
    db.session.flush()
    record(by, "address.added", f"address:{address.id}", user_id=user_id)
    db.session.flush()
    return address


def change_address(user_id: uuid.UUID, address_id: int, wanted: PostalAddress, by: Actor) -> None:
    """Raises NoSuchAddress. Orders keep the address they were sent to. Flushes."""
    address = get_address(user_id, address_id)
    values = asdict(wanted)
    changed = sorted(field for field, value in values.items() if getattr(address, field) != value)
    if not changed:
        return
    for field, value in values.items():
        setattr(address, field, value)
    record(by, "address.changed", f"address:{address_id}", user_id=user_id, fields=changed)
    db.session.flush()


def remove_address(user_id: uuid.UUID, address_id: int, by: Actor) -> None:
    """Forget an address; of the others the newest becomes the default if this one was.

    One that isn't there is left alone: whoever clicks twice gets what they wanted. Flushes.
    """
    member = find_member(user_id)
    if member is None:
        return
    _lock(member)
    mine = select(Address).where(Address.member_id == member.id)
    address = db.session.scalar(mine.where(Address.id == address_id))
    if address is None:
        return
    was_default = address.is_default
    db.session.delete(address)
    db.session.flush()
    record(by, "address.removed", f"address:{address_id}", user_id=user_id)
    if was_default:
        newest = db.session.scalar(mine.order_by(Address.id.desc()).limit(1))
        if newest is not None:
            newest.is_default = True
    db.session.flush()


def make_default(user_id: uuid.UUID, address_id: int, by: Actor) -> None:
    """Have parcels sent there from now on. Raises NoSuchAddress. Flushes."""
    member = find_member(user_id)
    if member is None:
        raise NoSuchAddress
    _lock(member)
    address = get_address(user_id, address_id)
    db.session.refresh(address)
    if address.is_default:
        return
    mine = Address.member_id == member.id
    # One after the other: at no moment may there be two defaults.
    db.session.execute(update(Address).where(mine, Address.is_default).values(is_default=False))
    db.session.execute(update(Address).where(Address.id == address_id).values(is_default=True))
    record(by, "address.made_default", f"address:{address_id}", user_id=user_id)
    db.session.flush()
    db.session.expire(address)


def _lock(member: Member) -> None:
    """Let changes of one member's list take turns: their number and their default depend on it."""
    db.session.execute(
        select(Member.id).where(Member.id == member.id).with_for_update(key_share=True)
    )
