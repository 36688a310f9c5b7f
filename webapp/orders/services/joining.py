"""Orders bought as a guest become the member's once the member has shown whose address it is."""

import uuid

from sqlalchemy import select, update

from webapp.accounts.models import ProspectSource, User
from webapp.accounts.services.prospects import convert, find_verified_member_id, note_prospect
from webapp.core.audit import SYSTEM, record
from webapp.core.db import db, take_turns
from webapp.orders.models import Order


def join_guest_orders(user_id: uuid.UUID) -> int:
    """Give a member every guest order of their verified address; returns how many were new.

    The prospect behind them is converted and stays on the orders as their history. Flushes.
    """
    email = db.session.scalar(
        select(User.email).where(User.id == user_id, User.email_verified_at.is_not(None))
    )
    if email is None:
        return 0
    take_buyers_turn(email)
    member_id = convert(user_id)
    if member_id is None:
        return 0
    joined = db.session.scalars(
        update(Order)
        .where(Order.email == email, Order.member_id.is_(None))
        .values(member_id=member_id)
        .returning(Order.id)
    ).all()
    if joined:
        record(SYSTEM, "orders.joined", f"member:{member_id}", user_id=user_id, orders=len(joined))
        db.session.flush()
    return len(joined)


def find_guest_buyer(
    email: str, name: str, source: ProspectSource = ProspectSource.PURCHASE
) -> tuple[int | None, int | None]:
    """Return whom a guest's payment belongs to: the member of that address, else its prospect.

    The prospect is made where nobody knew the address. Flushes.
    """
    take_buyers_turn(email)
    member_id = find_verified_member_id(email)
    if member_id is not None:
        return member_id, None
    return None, note_prospect(email, source, name).id


def take_buyers_turn(email: str) -> None:
    """Let a guest's order and the address's verification never overlook each other.

    Either the order's transaction is over before the orders are joined, and the order is among
    them; or it begins to look for the member after the address was verified, and finds them.
    An erasure takes its turn too: a guest's order is written before it, and found, or is new.
    """
    take_turns(f"buyer:{email.strip().lower()}")
