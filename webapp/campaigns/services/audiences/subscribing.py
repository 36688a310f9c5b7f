"""What people subscribe to, whether they owe for it, and who left: questions to billing.

A subscription belongs to the member whose customer at Stripe it is; one that was bought twice by
mistake counts once.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, SelectBase, Subquery, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from webapp.accounts.models import User
from webapp.billing.models import (
    ENDED,
    BillingCustomer,
    CaseState,
    DunningCase,
    Plan,
    PlanPrice,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.services.entitling import BEHIND
from webapp.campaigns.services.audiences.buying import lacking
from webapp.campaigns.services.audiences.fields import Op, Question, Takes, offer
from webapp.campaigns.services.audiences.rules import Condition
from webapp.core import clock
from webapp.core.db import db

THEME = "Subscriptions"
# Where the first payment hasn't come yet, nobody subscribes so far.
NOT_LIVING = ENDED | {SubscriptionStatus.INCOMPLETE}


def _is_customer(person: Subquery, customers: SelectBase) -> ColumnElement[bool]:
    """Return whether a person is one of the customers whose ids are selected."""
    found = exists().where(
        User.email == person.c.address,
        User.email_verified_at.is_not(None),
        BillingCustomer.user_id == User.id,
        BillingCustomer.id.in_(customers),
    )
    return found.correlate(person)


def _subscribed(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    living = select(Subscription.customer_id).where(
        Subscription.status.not_in(NOT_LIVING), ~Subscription.duplicate
    )
    if condition.words:
        living = living.where(_of_plans(condition.words))
    return _is_customer(person, living)


def _of_plans(slugs: Sequence[str]) -> ColumnElement[bool]:
    """Return whether a subscription is to one of the plans, also at a price made in Stripe."""
    ours = select(PlanPrice.id).join(Plan, Plan.id == PlanPrice.plan_id).where(Plan.slug.in_(slugs))
    products = select(Plan.stripe_product_id).where(Plan.slug.in_(slugs))
    return or_(
        Subscription.plan_price_id.in_(ours),
        and_(
            Subscription.plan_price_id.is_(None),
            Subscription.stripe_product_id.in_(products),
        ),
    )


def _trial(person: Subquery, _: Condition) -> ColumnElement[bool]:
    trying = select(Subscription.customer_id).where(
        Subscription.status == SubscriptionStatus.TRIALING, ~Subscription.duplicate
    )
    return _is_customer(person, trying)


def _owes(person: Subquery, _: Condition) -> ColumnElement[bool]:
    """Ask for what Stripe calls past due or unpaid, and for invoices that are being chased."""
    behind = select(Subscription.customer_id).where(
        Subscription.status.in_(BEHIND), ~Subscription.duplicate
    )
    chased = (
        select(DunningCase.customer_id)
        .outerjoin(Subscription, Subscription.id == DunningCase.subscription_id)
        .where(DunningCase.state == CaseState.OPEN, Subscription.duplicate.is_not(True))
    )
    return _is_customer(person, behind.union(chased))


def _left(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    """Ask for who has a subscription behind them and none now: who came back hasn't left.

    Where the first payment never came nobody was there to leave.
    """
    living = aliased(Subscription)
    came_back = exists().where(
        living.customer_id == Subscription.customer_id,
        living.status.not_in(NOT_LIVING),
        ~living.duplicate,
    )
    gone = select(Subscription.customer_id).where(
        Subscription.status == SubscriptionStatus.CANCELED,
        ~Subscription.duplicate,
        ~came_back.correlate(Subscription),
    )
    if condition.days is not None:
        ended_at = func.coalesce(Subscription.ended_at, Subscription.canceled_at)
        gone = gone.where(ended_at >= clock.now() - timedelta(days=condition.days))
    return _is_customer(person, gone)


def _plans() -> Sequence[tuple[str, str]]:
    rows = db.session.execute(select(Plan.slug, Plan.name).order_by(Plan.position, Plan.id))
    return [(slug, name) for slug, name in rows]


QUESTIONS = (
    Question(
        "subscribed",
        "Subscription",
        THEME,
        (
            Op("is", "subscribes to {value}", Takes.PLANS),
            Op("is_not", "doesn't subscribe to {value}", Takes.PLANS, negates=True),
        ),
        _subscribed,
        _plans,
        lacking(select(Plan.slug)),
    ),
    Question(
        "trial",
        "Trial",
        THEME,
        (
            Op("is", "has a trial running"),
            Op("is_not", "has no trial running", negates=True),
        ),
        _trial,
    ),
    Question(
        "owes",
        "Unpaid subscription",
        THEME,
        (
            Op("is", "owes for a subscription"),
            Op("is_not", "owes nothing for a subscription", negates=True),
        ),
        _owes,
    ),
    Question(
        "left",
        "Subscription ended",
        THEME,
        (
            Op("did", "stopped subscribing", within=True),
            Op("did_not", "didn't stop subscribing", within=True, negates=True),
        ),
        _left,
    ),
)

for _question in QUESTIONS:
    offer(_question)
