"""The room of plans: what is sold by subscription, at which prices, and whether Stripe agrees."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flask import request
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import selectinload
from wtforms import Form

from admin.base import Column, Filter, Room, action
from admin.billing.plan_form import NewPlanForm, PlanForm, typed_before
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.billing.models import (
    ENDED,
    Interval,
    Plan,
    PlanPrice,
    PlanState,
    Subscription,
)
from webapp.billing.services import mirroring, plans
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.money import format_money, parse_amount
from webapp.core.shop import get_shop

EDIT = Permission.BILLING_EDIT
EVERY = {Interval.MONTH: "month", Interval.YEAR: "year"}


def _at_stripe(plan: Plan) -> str:
    """Say in a word how Stripe's side of it stands."""
    if plan.sync_error:
        return "failed"
    if plan.drift:
        return "differs"
    if plan.stripe_product_id is None:
        return "unknown there" if plan.state is PlanState.PUBLISHED else "not needed yet"
    return "in step"


def _in_force(plan: Plan) -> list[PlanPrice]:
    return [price for price in plan.prices if price.retired_at is None]


def _prices(plan: Plan) -> str:
    return ", ".join(
        f"{format_money(price.unit_amount, price.currency)} a {EVERY[price.interval]}"
        for price in _in_force(plan)
    )


class Plans(Room):
    """What one can subscribe to."""

    noun = "plan"
    empty = "None yet. A plan is what people subscribe to: add one with a monthly or yearly price."
    may_create = EDIT
    may_edit = EDIT
    added = changed = None  # the service records it
    newest_first = False
    default_order = (Plan.position,)
    form = PlanForm
    search_hint = "Name or short name"
    columns = (
        Column("name", "Plan", sort=Plan.name),
        Column("slug", "Short name", "code"),
        Column("state", "State", "pill", sort=Plan.state),
        Column("prices", "Sold at", "text", _prices),
        Column("trial_days", "Trial, days", "number"),
        Column("subscribers", "Subscribers", "number"),
        Column("at_stripe", "At Stripe", "pill", _at_stripe),
    )
    filters = (
        Filter(
            "state",
            "State",
            [(state.value, state.value.capitalize()) for state in PlanState],
            lambda value: Plan.state == PlanState(value),
        ),
        Filter(
            "stripe",
            "At Stripe",
            [("trouble", "Differs or failed")],
            lambda _value: needs_a_look(),
        ),
    )
    sections: ClassVar[Any] = (
        ("Face", ("slug", "name", "description", "position")),
        ("Prices", ("monthly", "yearly", "trial_days")),
        ("What it grants", ("features", "limits")),
    )
    details_template = "admin/billing/plan.html"

    def statement(self) -> Any:
        return select(Plan).options(selectinload(Plan.prices))

    def load(self, key: Any) -> Plan | None:
        one = select(Plan).where(Plan.id == key).options(selectinload(Plan.prices))
        return db.session.scalar(one.execution_options(populate_existing=True))

    def search(self, text: str) -> ColumnElement[bool]:
        return or_(Plan.name.icontains(text, autoescape=True), Plan.slug == text.lower())

    def gather(self, rows: Sequence[Plan]) -> Mapping[Any, Mapping[str, Any]]:
        counted = _subscribers([price.id for row in rows for price in row.prices])
        return {
            row.id: {"subscribers": sum(counted.get(price.id, 0) for price in row.prices)}
            for row in rows
        }

    def title_of(self, row: Plan) -> str:
        return row.name

    def detail(self, row: Plan) -> dict[str, Any]:
        return {
            "subscribers": _subscribers([price.id for price in row.prices]),
            "prices": sorted(row.prices, key=lambda each: (each.retired_at is not None, -each.id)),
            "at_stripe": _at_stripe(row),
            "intervals": EVERY,
            "may_edit": self.allows(EDIT),
        }

    def create_form(self, obj: Any = None) -> Form:  # noqa: ARG002 - Flask-Admin's signature
        return NewPlanForm(request.form or None)

    def edit_form(self, obj: Any = None) -> Form:
        return PlanForm(request.form or None, data=typed_before(obj))

    def save(self, form: Any, row: Plan | None) -> Plan:
        if row is not None:
            return plans.edit_plan(row.id, form.draft(), actor())
        plan = plans.create_plan(form.slug.data, form.draft(), actor())
        for interval, typed in ((Interval.MONTH, form.monthly), (Interval.YEAR, form.yearly)):
            if typed.data is not None:
                plans.set_price(plan.id, interval, get_shop().currency, typed.data, actor())
        return plan

    @action(
        "Publish",
        permission=EDIT,
        verb=None,
        tone="primary",
        confirm="It shows up on the pricing page and can be bought. Publish it?",
        when=lambda plan: plan.state is not PlanState.PUBLISHED,
    )
    def publish(self, row: Plan) -> str:
        plans.publish_plan(row.id, actor())
        return f"{row.name} is on the pricing page. Stripe learns of it in a moment."

    @action(
        "Retire",
        permission=EDIT,
        verb=None,
        tone="danger",
        confirm="Nobody can subscribe to it any more; who has it keeps it. Retire it?",
        when=lambda plan: plan.state is PlanState.PUBLISHED,
    )
    def retire(self, row: Plan) -> str:
        plans.retire_plan(row.id, actor())
        return f"{row.name} is retired. Who has it keeps it at their price."

    @action("Set the price", permission=EDIT, verb=None, button=False)
    def set_price(self, row: Plan) -> str:
        """A new row of the history: prices are never changed."""
        interval = request.form.get("interval", "")
        if interval not in set(Interval):
            raise DomainError("Say whether it is the price of a month or of a year.")
        currency = get_shop().currency
        typed = request.form.get("amount", "").strip()[:40]
        if not typed:
            raise DomainError("Type the new price.")
        amount = parse_amount(typed, currency)
        plans.set_price(row.id, Interval(interval), currency, amount, actor())
        return (
            f"{row.name} is sold at {format_money(amount, currency)} a {interval} from now on. "
            "Who pays another price goes on paying it."
        )

    @action("Stop selling at this price", permission=EDIT, verb=None, button=False)
    def withdraw_price(self, row: Plan) -> str:
        key = self._key(request.form.get("price", ""))
        price = next((each for each in row.prices if each.id == key), None)
        if price is None:
            raise DomainError("This plan has no such price.")
        plans.withdraw_price(price.id, actor())
        amount = format_money(price.unit_amount, price.currency)
        return f"{row.name} is no longer sold at {amount} a {price.interval.value}."

    @action(
        "Make Stripe like ours",
        permission=EDIT,
        verb=None,
        button=False,
        when=lambda plan: bool(plan.drift or plan.sync_error),
    )
    def mend_stripe(self, row: Plan) -> str:
        mirroring.make_stripe_like_ours(row.id, actor())
        return f"Stripe's {row.name} is being made like ours."

    @action("Take Stripe's", permission=EDIT, verb=None, button=False)
    def take_stripes(self, row: Plan) -> str:
        mirroring.take_stripes(row.id, actor())
        return f"{row.name} is now as Stripe has it."


def needs_a_look() -> ColumnElement[bool]:
    """Plans that Stripe refused, or has otherwise than we do."""
    return or_(Plan.sync_error.is_not(None), Plan.drift != {})


def _subscribers(price_ids: Sequence[int]) -> dict[int, int]:
    """Return how many have each price now, whatever its state."""
    rows = db.session.execute(
        select(Subscription.plan_price_id, func.count())
        .where(Subscription.plan_price_id.in_(price_ids), Subscription.status.not_in(ENDED))
        .group_by(Subscription.plan_price_id)
    )
    return {key: count for key, count in rows if key is not None}
