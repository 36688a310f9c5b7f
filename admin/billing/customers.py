"""How a customer of billing is found, and shown, in the rooms about what they have and owe."""

import uuid
from collections.abc import Sequence
from typing import Any

from flask import url_for
from sqlalchemy import ColumnElement, Select, literal, or_, select
from wtforms import Form

from admin.base import Link
from webapp.accounts.queries.naming import name_people
from webapp.billing.models import BillingCustomer, Invoice, Subscription
from webapp.core.db import db
from webapp.core.numbering import MAX_BIGINT


class JustAsk(Form):
    """The form of a page that needs nothing but a button."""


def ids_of_customers(text: str) -> Select[Any]:
    """Return the customers meant by an address, part of one, or Stripe's id; each by its index."""
    if text.startswith("cus_"):
        found: ColumnElement[bool] = BillingCustomer.stripe_customer_id == text
    elif "@" in text and "." in text.rpartition("@")[2]:
        found = or_(BillingCustomer.email == text, BillingCustomer.email == text.lower())
    else:
        found = BillingCustomer.email.contains(text.lower(), autoescape=True)
    return select(BillingCustomer.id).where(found)


def whole(text: str) -> int | None:
    """Return the number that was typed, if it is one that a key can be."""
    bare = text.removeprefix("#")
    if not (bare.isascii() and bare.isdigit() and len(bare) < 20):
        return None
    return int(bare) if int(bare) <= MAX_BIGINT else None


def member_url(user_id: uuid.UUID | None) -> str | None:
    """Return the way to the member behind a customer, if there is one still."""
    person = name_people([user_id]).get(user_id) if user_id else None
    if person is None or person.member_id is None:
        return None
    return url_for("admin_members.details_view", id=person.member_id)


def subscription_link(row: Subscription | None) -> Link | None:
    if row is None:
        return None
    name = row.price.plan.name if row.price else "Unknown plan"
    return Link(name, url_for("admin_subscriptions.details_view", id=row.id))


def stripe_url(kind: str, stripe_id: str | None, livemode: bool) -> str | None:
    """Return where Stripe's own pages show an object: ``kind`` is "invoices", "customers"..."""
    if not stripe_id:
        return None
    side = "" if livemode else "test/"
    return f"https://dashboard.stripe.com/{side}{kind}/{stripe_id}"


def object_links(ids: Sequence[str]) -> dict[str, Link]:
    """Return the rooms of Stripe's subscriptions and invoices that we know, in one statement."""
    subscriptions = select(
        literal("admin_subscriptions"), Subscription.stripe_id, Subscription.id
    ).where(Subscription.stripe_id.in_(ids))
    invoices = select(literal("admin_invoices"), Invoice.stripe_id, Invoice.id).where(
        Invoice.stripe_id.in_(ids)
    )
    return {
        stripe_id: Link(stripe_id, url_for(f"{room}.details_view", id=key))
        for room, stripe_id, key in db.session.execute(subscriptions.union_all(invoices))
    }
