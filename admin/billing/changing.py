"""The page on which staff move somebody to another plan: first what it costs, then the button."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flask import flash, redirect, request
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug import Response
from wtforms import Form, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, NumberRange

from admin.base import page, record
from admin.billing.asking import Asking, ask
from admin.billing.subscription_deeds import why_not_changeable
from webapp.accounts.permissions import Permission
from webapp.billing.models import OperationKind, Plan, PlanPrice, PlanState, Subscription
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.fields import WholeField
from webapp.core.money import format_money
from webapp.payments import gateway

# As long as somebody may look at a price before they agree to it.
PATIENCE = timedelta(hours=1)


class ChangeForm(Form):
    price = SelectField("To", [InputRequired("Choose what to change to.")])
    quantity = WholeField("Quantity", [InputRequired("How many?"), NumberRange(1, 100_000)])

    def offer(self, row: Subscription, prices: Sequence[PlanPrice]) -> None:
        self.price.choices = [SelectChoice(str(each.id), _price_words(each)) for each in prices]
        if not self.quantity.raw_data:
            self.quantity.data = row.quantity


class ChangePages(Asking):
    """What the room of subscriptions does to move one to another price."""

    @page("/change/", read=Permission.BILLING_ACT, write=Permission.BILLING_ACT)
    def change(self) -> Response | tuple[str, int]:
        row = self.get_one(request.args.get("id", ""))
        if (why_not := why_not_changeable(row)) is not None:
            flash(why_not, "error")
            return redirect(self.url_of(row), 303)
        form = ChangeForm(request.values if "price" in request.values else None)
        prices = _prices(row)
        form.offer(row, prices)
        quote: gateway.Preview | None = None
        if "price" in request.values and form.validate():
            price = next(each for each in prices if str(each.id) == form.price.data)
            with self.refusing() as refusal:
                if request.method == "POST":
                    return self._change(row, price, form.quantity.data)
                at = clock.now().replace(microsecond=0)
                quote = _quote(row, price, form.quantity.data, at)
            form.form_errors = [refusal.sentence] if refusal.sentence else []
            row = self.get_one(request.args.get("id", ""))
        wrong = bool(form.errors)
        html = self.render(
            "admin/billing/change.html",
            row=row,
            form=form,
            quote=quote,
            has_prices=bool(prices),
            asked_at=int(quote.proration_date.timestamp()) if quote else None,
            shown=_shown(quote) if quote else None,
            now_pays=_words(row.unit_amount * row.quantity, row.currency, row.interval.value),
            plan_name=row.price.plan.name if row.price else row.stripe_price_id,
            wish=secrets.token_hex(16),
        )
        return html, 422 if wrong else 200

    def _change(self, row: Subscription, price: PlanPrice, quantity: int) -> Response:
        at = _asked_at()
        if _shown(_quote(row, price, quantity, at)) != request.form.get("shown"):
            raise DomainError("The price has changed. Look at it again before you agree.")
        params = {
            "price": price.stripe_price_id,
            "quantity": quantity,
            "proration_date": int(at.timestamp()),
            "item": row.item_id,
        }
        said = f"It is {_price_words(price)} now."
        back = self.url_of(row)
        asked = ask(OperationKind.CHANGE_PLAN, row.customer, row.stripe_id, params, said)
        record(
            "subscription.changed",
            self.subject_of(row),
            user_id=self.person_of(row),
            price=price.id,
            quantity=quantity,
        )
        db.session.commit()
        self._flash_outcomes([asked])
        return redirect(back, 303)


def _prices(row: Subscription) -> Sequence[PlanPrice]:
    """Return what is sold in the currency the customer pays in."""
    return db.session.scalars(
        select(PlanPrice)
        .join(Plan, Plan.id == PlanPrice.plan_id)
        .where(
            Plan.state == PlanState.PUBLISHED,
            PlanPrice.retired_at.is_(None),
            PlanPrice.currency == row.currency,
            PlanPrice.stripe_price_id.is_not(None),
        )
        .options(joinedload(PlanPrice.plan))
        .order_by(Plan.position, Plan.id, PlanPrice.interval)
    ).all()


def _quote(row: Subscription, price: PlanPrice, quantity: int, at: datetime) -> gateway.Preview:
    """Ask Stripe what it would come to at a second; between two transactions."""
    _check_differs(row, price, quantity)
    subscription, item, stripe_price = row.stripe_id, row.item_id, str(price.stripe_price_id)
    db.session.commit()
    return gateway.preview_change(subscription, item, stripe_price, quantity, at)


def _check_differs(row: Subscription, price: PlanPrice, quantity: int) -> None:
    if row.stripe_price_id == price.stripe_price_id and row.quantity == quantity:
        raise DomainError("That is what they have already.")


def _shown(quote: gateway.Preview) -> str:
    """Return the amounts of a quote as the form sends them back, to be compared."""
    return f"{quote.amount_due}:{quote.proration}"


def _asked_at() -> datetime:
    """Return the second for which the price was shown: what was shown is what is charged."""
    typed = request.form.get("asked_at", "")
    second = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 12 else 0
    at = datetime.fromtimestamp(second, UTC)
    if not -PATIENCE < clock.now() - at < PATIENCE:
        raise DomainError("The price was shown long ago. Look at it again before you agree.")
    return at


def _price_words(price: PlanPrice) -> str:
    worth = _words(price.unit_amount, price.currency, price.interval.value)
    return f"{price.plan.name}, {worth}"


def _words(amount: int, currency: str, interval: str) -> str:
    return f"{format_money(amount, currency)} a {interval}"
