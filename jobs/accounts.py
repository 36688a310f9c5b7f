"""What accounts do outside a request: their mails, and what follows when an address is proved."""

import logging
import uuid
from datetime import timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError

from webapp.accounts.models import Member, User
from webapp.accounts.queries.claims import list_lapsed_claims
from webapp.accounts.services import emails, prospects, registering, resetting, verifying
from webapp.accounts.services.forgetting import remove_login
from webapp.billing.queries.home import find_customer
from webapp.campaigns.models import ClientEvent
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.orders.models import Cart, Order

logger = logging.getLogger(__name__)

LAPSE = timedelta(days=7)
BATCH = 500


def welcome(user_id: str) -> None:
    registering.welcome(uuid.UUID(user_id))
    db.session.commit()


def send_verification(user_id: str, nonce: str) -> None:
    verifying.send_verification(uuid.UUID(user_id), nonce)
    db.session.commit()


def send_reset(user_id: str, nonce: str) -> None:
    resetting.send_reset(uuid.UUID(user_id), nonce)
    db.session.commit()


def send_email_change(change_id: int) -> None:
    emails.send_change(change_id)
    db.session.commit()


def email_verified(user_id: str) -> None:
    """Give an account what was known of its address before: the prospect and the guest's orders.

    Where they pay for a subscription, Stripe learns of the address too.
    The first time somebody joins by it, and the mails that follow that begin.
    """
    prospects.convert(uuid.UUID(user_id))
    enqueue("jobs.orders.join_guest_orders", user_id, subject=f"user:{user_id}")
    if find_customer(uuid.UUID(user_id)) is not None:
        enqueue("jobs.billing.follow_address", user_id, subject=f"user:{user_id}")
    enqueue(
        "jobs.campaigns.begin_sequences",
        "member_joined",
        user_id,
        queue=Queue.BULK,
        subject=f"user:{user_id}",
        key=f"member_joined:{user_id}",
    )
    db.session.commit()


def purge_unverified() -> None:
    """Remove logins made a week ago with an address that turned out to be somebody else's.

    One with orders stays: the orders are real, whoever's the address is.
    """
    removed = 0
    for user_id in list_lapsed_claims(clock.now() - LAPSE, BATCH, keep=_has_bought()):
        for kind in (Cart, ClientEvent):
            theirs = update(kind).where(kind.user_id == user_id)
            db.session.execute(theirs.values(user_id=None))
        try:
            remove_login(user_id, SYSTEM)
            db.session.commit()
        except IntegrityError:
            # They bought something or left a trace at this very moment: another time.
            db.session.rollback()
            continue
        removed += 1
    if removed:
        logger.info("unverified logins removed", extra={"removed": removed})


def _has_bought() -> ColumnElement[bool]:
    return select(Order.id).join(Member).where(Member.user_id == User.id).exists()
