"""The room of subscriptions: find one, read its whole story, change it, pause it, end it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select, union
from sqlalchemy.orm import joinedload
from werkzeug import Response

from admin.base import Column, Filter, Money, action, page
from admin.billing import subscription_deeds as deeds
from admin.billing.asking import ask
from admin.billing.changing import ChangePages
from admin.billing.customers import (
    ids_of_customers,
    member_url,
    stripe_url,
    whole,
)
from admin.billing.story import tell_subscription
from webapp.accounts.permissions import Permission
from webapp.billing.models import (
    ENDED,
    DunningCase,
    Entitlement,
    Invoice,
    InvoiceStatus,
    OperationKind,
    Plan,
    PlanPrice,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.queries.home import period_is_paid
from webapp.billing.queries.numbers import monthly
from webapp.billing.services.leaving import take_back
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db

ACT = Permission.BILLING_ACT
TOLD, SHOWN = 200, 12

STATES: dict[str, ColumnElement[bool]] = {
    "live": Subscription.status.not_in(ENDED),
    "cancelling": Subscription.is_set_to_end & Subscription.status.not_in(ENDED),
    "collection_paused": Subscription.pause_behavior.is_not(None)
    & Subscription.status.not_in(ENDED),
    "duplicate": Subscription.duplicate.is_(True),
    "unknown_plan": Subscription.plan_price_id.is_(None),
}
STATE_TITLES = {
    "live": "Not over yet",
    "cancelling": "Ends with its period",
    "collection_paused": "Collection paused",
    "duplicate": "Bought twice",
    "unknown_plan": "Price of no plan of ours",
}


def _narrow(value: str) -> ColumnElement[bool]:
    if value in STATES:
        return STATES[value]
    return Subscription.status == SubscriptionStatus(value)


def _plans() -> list[tuple[str, str]]:
    rows = db.session.execute(select(Plan.slug, Plan.name).order_by(Plan.position, Plan.id))
    return [(slug, name) for slug, name in rows]


def _of_plan(slug: str) -> ColumnElement[bool]:
    prices = select(PlanPrice.id).join(Plan, Plan.id == PlanPrice.plan_id).where(Plan.slug == slug)
    return Subscription.plan_price_id.in_(prices)


def _plan_name(row: Subscription) -> str:
    return row.price.plan.name if row.price else row.stripe_price_id


def _price(row: Subscription) -> Money:
    return Money(row.unit_amount * row.quantity, row.currency)


class Subscriptions(ChangePages):
    """Who subscribes to what, as Stripe last told of it."""

    noun = "subscription"
    may_see = Permission.MEMBERS_VIEW
    empty = "Nobody yet. A subscription shows up here a second after somebody bought one."
    search_hint = "Email, sub_…, cus_… or number"
    columns = (
        Column("customer", "Customer", "text", lambda row: row.customer.email or "Erased"),
        Column("plan", "Plan", "text", _plan_name),
        Column("status", "Status", "pill"),
        Column("price", "Price", "money", _price),
        Column("every", "Every", "text", deeds.every),
        Column("next", "What comes", "text", deeds.what_comes),
        Column("started_at", "Since", "moment"),
    )
    filters = (
        Filter(
            "status",
            "Status",
            [
                *STATE_TITLES.items(),
                *(
                    (each.value, each.value.replace("_", " ").capitalize())
                    for each in SubscriptionStatus
                ),
            ],
            _narrow,
        ),
        Filter("plan", "Plan", _plans, _of_plan),
    )
    details_template = "admin/billing/subscription.html"

    def statement(self) -> Select[Any]:
        return select(Subscription).options(
            joinedload(Subscription.customer),
            joinedload(Subscription.price).joinedload(PlanPrice.plan),
        )

    def load(self, key: Any) -> Subscription | None:
        one = self.statement().where(Subscription.id == key)
        row: Subscription | None = db.session.scalar(one.execution_options(populate_existing=True))
        return row

    def search(self, text: str) -> ColumnElement[bool]:
        """Match what was typed by what it looks like; each by its own index."""
        if text.startswith("sub_"):
            return Subscription.stripe_id == text
        noun, _, key = text.partition(":")
        if noun == "billing_customer" and (owner := whole(key)) is not None:
            return Subscription.customer_id == owner
        found = [
            select(Subscription.id).where(Subscription.customer_id.in_(ids_of_customers(text)))
        ]
        if (number := whole(text)) is not None:
            found.append(select(Subscription.id).where(Subscription.id == number))
        return Subscription.id.in_(union(*found))

    def title_of(self, row: Subscription) -> str:
        return f"{row.customer.email or 'Erased'}: {_plan_name(row)}"

    def person_of(self, row: Subscription) -> Any:
        return row.customer.user_id

    def detail(self, row: Subscription) -> dict[str, Any]:
        invoices = _invoices(row.id)
        cases = _cases(row.id)
        user_id = row.customer.user_id
        may_act = self.allows(ACT)
        return {
            "invoices": invoices[:SHOWN],
            "invoices_url": self.get_url(
                "admin_invoices.index_view", search=row.customer.stripe_customer_id
            ),
            "cases": cases,
            "story": tell_subscription(row, invoices, cases),
            "member_url": member_url(user_id),
            "entitlement": db.session.get(Entitlement, user_id) if user_id else None,
            "plan_name": _plan_name(row),
            "price": _price(row),
            "every": deeds.every(row),
            "what_comes": deeds.what_comes(row),
            "monthly": monthly(row.annual_amount),
            "stripe_url": stripe_url("subscriptions", row.stripe_id, row.livemode),
            "deeds": self._deeds(row, invoices) if may_act else [],
            "discounts": [deeds.discount_words(each, row.currency) for each in row.discounts],
        }

    def _deeds(self, row: Subscription, invoices: Sequence[Invoice]) -> list[tuple[str, str, bool]]:
        """Return the pages that lead on from here, and which of them end something."""
        pages = [
            ("Change the plan", ".change", deeds.why_not_changeable(row), False),
            ("Pause", ".pause", deeds.PAUSE.refuse(row), False),
            ("Give a discount", ".discount", deeds.DISCOUNT.refuse(row), False),
            ("Cancel", ".cancel", deeds.CANCEL.refuse(row), True),
        ]
        found = [
            (title, self.get_url(endpoint, id=row.id), danger)
            for title, endpoint, why_not, danger in pages
            if why_not is None
        ]
        paid = next((each for each in invoices if _can_be_given_back(each)), None)
        if paid is not None:
            found.append(
                ("Refund the last payment", self.get_url("admin_invoices.refund", id=paid.id), True)
            )
        return found

    @page("/cancel/", read=ACT, write=ACT)
    def cancel(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.CANCEL)

    @page("/pause/", read=ACT, write=ACT)
    def pause(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.PAUSE)

    @page("/discount/", read=ACT, write=ACT)
    def discount(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.DISCOUNT)

    @action(
        "Let it go on",
        permission=ACT,
        verb="resumed",
        tone="primary",
        when=lambda row: row.is_set_to_end and row.status not in ENDED,
    )
    def resume(self, row: Subscription) -> str:
        kept = take_back(row)
        said = "It goes on after its period and is charged again."
        return ask(OperationKind.RESUME, row.customer, row.stripe_id, kept, said)

    @action(
        "Collect again",
        permission=ACT,
        verb="unpaused",
        tone="primary",
        when=lambda row: row.pause_behavior is not None and row.status not in ENDED,
    )
    def unpause(self, row: Subscription) -> str:
        # What ran during the pause was not paid for: then a paid period begins now.
        params = {} if period_is_paid(row) else {"from_now": True}
        said = "The pause is over: the next invoice is collected again."
        return ask(OperationKind.UNPAUSE, row.customer, row.stripe_id, params, said)

    @action("Fetch from Stripe", permission=ACT, verb="fetched", tone="quiet")
    def fetch(self, row: Subscription) -> str:
        refs = [Ref(RefKind.SUBSCRIPTION, row.stripe_id)]
        if row.customer.stripe_customer_id:
            refs.append(Ref(RefKind.CUSTOMER, row.customer.stripe_customer_id))
        sync_now(*refs)
        return f"It is as Stripe has it now, {clock.now():%H:%M:%S} UTC."


def _invoices(subscription_id: int) -> Sequence[Invoice]:
    return db.session.scalars(
        select(Invoice)
        .where(Invoice.subscription_id == subscription_id)
        .order_by(Invoice.issued_at.desc(), Invoice.id.desc())
        .limit(TOLD)
    ).all()


def _cases(subscription_id: int) -> Sequence[DunningCase]:
    return db.session.scalars(
        select(DunningCase)
        .where(DunningCase.subscription_id == subscription_id)
        .order_by(DunningCase.id.desc())
        .limit(TOLD)
    ).all()


def _can_be_given_back(row: Invoice) -> bool:
    return row.status is InvoiceStatus.PAID and row.amount_paid > 0 and bool(row.payment_intent)
