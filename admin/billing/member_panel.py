"""What the page of a member tells of their subscription, and where the rooms tell the rest."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask import url_for
from sqlalchemy import select

from admin.base import Link, Money
from admin.billing.cases import how_held
from admin.billing.customers import subscription_link
from admin.billing.subscription_deeds import discount_words, every, what_comes
from webapp.billing.models import BillingCustomer, CaseState, DunningCase, Invoice, Subscription
from webapp.billing.queries.dunning import CardFace, find_card
from webapp.billing.queries.home import Home, read_home
from webapp.billing.queries.invoices import LATEST
from webapp.billing.queries.numbers import monthly
from webapp.core.db import db

MOST_CASES = 5
ROOMS = ("subscriptions", "invoices", "cases")


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription in the words of its room; ``monthly`` is its part of the MRR."""

    row: Subscription
    link: Link | None
    price: Money
    every: str
    discounts: Sequence[str]
    what_comes: str
    monthly: Money


@dataclass(frozen=True, slots=True)
class MemberBilling:
    """The billing of a member: the subscription they have, or had last, and what is owed.

    ``cases`` are the open ones, the oldest first, each with why it is held back, if it is.
    ``rooms`` lead to all that the rooms know of this customer.
    """

    home: Home
    standing: Standing | None
    card: CardFace | None
    cases: Sequence[tuple[DunningCase, str | None]]
    invoices: Sequence[Invoice]
    rooms: Sequence[Link]


def read_billing(user_id: uuid.UUID) -> MemberBilling | None:
    """Return what there is to tell of a member; None for who never came as far as Stripe."""
    home = read_home(user_id)
    if home.customer is None:
        return None
    row = home.subscription or home.ended
    return MemberBilling(
        home=home,
        standing=_standing(row) if row else None,
        card=find_card(home.customer),
        cases=[(case, how_held(case)) for case in _open_cases(home.customer.id)],
        invoices=_latest_invoices(home.customer.id),
        rooms=_rooms(home.customer),
    )


def _standing(row: Subscription) -> Standing:
    return Standing(
        row=row,
        link=subscription_link(row),
        price=Money(row.unit_amount * row.quantity, row.currency),
        every=every(row),
        discounts=[discount_words(each, row.currency) for each in row.discounts],
        what_comes=what_comes(row),
        monthly=Money(monthly(row.annual_amount), row.currency),
    )


def _open_cases(customer_id: int) -> Sequence[DunningCase]:
    return db.session.scalars(
        select(DunningCase)
        .where(DunningCase.customer_id == customer_id, DunningCase.state == CaseState.OPEN)
        .order_by(DunningCase.id)
        .limit(MOST_CASES)
    ).all()


def _latest_invoices(customer_id: int) -> Sequence[Invoice]:
    """Return the newest, drafts too: a pause may keep them as such for months."""
    return db.session.scalars(
        select(Invoice)
        .where(Invoice.customer_id == customer_id)
        .order_by(Invoice.issued_at.desc(), Invoice.id.desc())
        .limit(LATEST)
    ).all()


def _rooms(customer: BillingCustomer) -> list[Link]:
    """By Stripe's id, as an address may have been somebody else's before."""
    words = customer.stripe_customer_id or customer.email
    return [
        Link(room, url_for(f"admin_{room}.index_view", search=words)) for room in ROOMS if words
    ]
