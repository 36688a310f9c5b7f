"""What staff may do to a subscription by a page of its own: cancel it, pause it, take money off."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from wtforms import DateField, Form, RadioField, SelectField, TextAreaField, ValidationError
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange

from admin.billing.asking import Deed, ask
from admin.moments import when
from webapp.billing.models import (
    ENDED,
    CancelOffer,
    CancelOutcome,
    CancelReason,
    OperationKind,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.queries.settings import get_settings
from webapp.billing.queries.staying import pays_monthly
from webapp.billing.services.leaving import Leaving, remember
from webapp.core import clock
from webapp.core.fields import WholeField
from webapp.core.money import format_money

AT_END, AT_ONCE = "at_end", "at_once"
LONGEST_PAUSE = timedelta(days=366)
OVER = "This subscription is over; it can't be changed any more."


def every(row: Subscription) -> str:
    word = row.interval.value
    return word if row.interval_count == 1 else f"{row.interval_count} {word}s"


def what_comes(row: Subscription) -> str:
    """Say what happens next by itself, and when."""
    if row.status in ENDED:
        return f"Over since {when(row.ended_at)}" if row.ended_at else "Over"
    if row.pause_behavior is not None:
        until = f" until {when(row.pause_resumes_at)}" if row.pause_resumes_at else ""
        return f"Collection paused{until}"
    if row.ends_at is not None:
        return f"Ends {when(row.ends_at)}"
    return _goes_on(row)


def _goes_on(row: Subscription) -> str:
    end = when(row.current_period_end)
    if row.status is SubscriptionStatus.TRIALING:
        return f"First charge {when(row.trial_end) if row.trial_end else end}"
    if row.status is SubscriptionStatus.ACTIVE:
        return f"Renews {end}"
    waits = {
        SubscriptionStatus.PAST_DUE: "Waits for a payment",
        SubscriptionStatus.UNPAID: "Unpaid: Stripe no longer tries",
        SubscriptionStatus.INCOMPLETE: "Waits for its first payment",
        SubscriptionStatus.PAUSED: "Paused without a card",
    }
    return waits.get(row.status, end)


def discount_words(each: Mapping[str, Any], currency: str) -> str:
    """Return ``30 % off until 2026-12-01`` for what Stripe told of a discount."""
    percent, amount = each.get("percent_off"), each.get("amount_off")
    off = f"{percent:g} %" if percent is not None else format_money(amount or 0, currency)
    end = each.get("end")
    if isinstance(end, int | float):
        return f"{off} off until {datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
    return f"{off} off until {str(end)[:10]}" if end else f"{off} off"


def why_not_live(row: Subscription) -> str | None:
    return OVER if row.status in ENDED else None


def why_not_changeable(row: Subscription) -> str | None:
    if row.status not in ENDED and row.pause_behavior is not None:
        return "This subscription is paused. Collect again first, then change it."
    if row.status not in ENDED and row.is_set_to_end:
        return "This subscription is set to end. Let it go on first, then change it."
    return why_not_live(row)


class CancelForm(Form):
    at = RadioField(
        "When",
        [InputRequired("Say when.")],
        choices=[
            SelectChoice(AT_END, "When the paid time is over"),
            SelectChoice(AT_ONCE, "At once"),
        ],
    )
    reason = SelectField(
        "Why",
        choices=[
            SelectChoice("", "Not known"),
            *(
                SelectChoice(each.value, each.value.replace("_", " ").capitalize())
                for each in CancelReason
            ),
        ],
    )
    comment = TextAreaField("In their words", [Length(max=500)], render_kw={"rows": 2})

    def offer(self, row: Subscription) -> None:
        """Suggest what is usual here; one that ends anyway can only end sooner."""
        if row.is_set_to_end:
            self.at.choices = [SelectChoice(AT_ONCE, "At once")]
        if not self.at.raw_data:
            ends_later = get_settings().cancel_at_period_end and not row.is_set_to_end
            self.at.data = AT_END if ends_later else AT_ONCE


def _tell_cancel(row: Subscription) -> list[str]:
    told = [
        "At once means: what it grants ends now, nothing more is charged, and nothing is given "
        "back by itself. It can't be taken up again; the customer has to subscribe anew."
    ]
    if not row.is_set_to_end:
        end = when(row.current_period_end)
        told.insert(0, f"The paid time is over on {end}. Until then it can be let go on.")
    return told


def _cancel(row: Subscription, form: CancelForm) -> str:
    comment = (form.comment.data or "").strip()
    why = {"feedback": form.reason.data or None, "comment": comment}
    params: dict[str, Any] = {key: value for key, value in why.items() if value}
    if form.reason.data:
        # Beside what those say who leave by their own page.
        why_left = Leaving(CancelReason(form.reason.data), comment)
        params |= remember(row, why_left, CancelOffer.NONE, CancelOutcome.CANCELLED)
    if form.at.data == AT_ONCE:
        said = "It is cancelled. Nothing more is charged."
        return ask(OperationKind.CANCEL, row.customer, row.stripe_id, params, said)
    said = f"It ends on {when(row.current_period_end)} and is not charged again."
    return ask(OperationKind.CANCEL_AT_PERIOD_END, row.customer, row.stripe_id, params, said)


CANCEL = Deed(
    verb="cancelled",
    title="Cancel the subscription",
    button="Cancel it",
    form=CancelForm,
    tell=_tell_cancel,
    refuse=why_not_live,
    do=_cancel,
    tone="danger",
)


class PauseForm(Form):
    until = DateField(
        "Until",
        [InputRequired("Choose the day on which collecting begins again.")],
        description="At midnight (UTC) it goes on by itself.",
    )

    def validate_until(self, field: DateField) -> None:
        today = clock.now().date()
        if field.data is None or not today < field.data <= today + LONGEST_PAUSE:
            raise ValidationError("Choose a day from tomorrow to a year from now.")


def _why_no_pause(row: Subscription) -> str | None:
    if row.pause_behavior is not None:
        return "Collection is paused already."
    return why_not_live(row)


def _pause(row: Subscription, form: PauseForm) -> str:
    until = datetime.combine(form.until.data or clock.now().date(), time.min, UTC)
    params = {"resumes_at": int(until.timestamp()), "behavior": "void"}
    said = f"It is paused until {until:%Y-%m-%d}."
    return ask(OperationKind.PAUSE, row.customer, row.stripe_id, params, said)


PAUSE = Deed(
    verb="paused",
    title="Pause the subscription",
    button="Pause it",
    form=PauseForm,
    tell=lambda _row: [
        "While it is paused nothing is charged: the invoices of that time become void.",
        "An invoice that is owed already stays owed.",
    ],
    refuse=_why_no_pause,
    do=_pause,
)


class DiscountForm(Form):
    percent = WholeField("Percent off", [InputRequired("How much?"), NumberRange(1, 100)])
    months = WholeField(
        "For months",
        [InputRequired("For how long?"), NumberRange(1, 24)],
        description="It holds for the invoices of that time, and ends by itself.",
    )

    def offer(self, row: Subscription) -> None:
        """Suggest what leaving customers are offered here; months only to who pays by them."""
        settings = get_settings()
        if not self.percent.raw_data:
            self.percent.data = settings.offer_percent
        if not pays_monthly(row):
            del self.months
        elif not self.months.raw_data:
            self.months.data = settings.offer_months


def _discount(row: Subscription, form: DiscountForm) -> str:
    percent, months = form.percent.data, form.months.data if form.months else None
    span = f"{months} {'month' if months == 1 else 'months'}"
    name = f"{percent}% off for {span}" if months else f"{percent}% off, once"
    params = {"percent": percent, "months": months, "name": name}
    meant = f"the invoices of the next {span}" if months else "the next invoice, and no other"
    said = f"{percent} % are taken off {meant}."
    return ask(OperationKind.DISCOUNT, row.customer, row.stripe_id, params, said)


def _tell_discount(row: Subscription) -> list[str]:
    told = ["The customer pays less from the next invoice on. Nothing is given back."]
    if not pays_monthly(row):
        told = [f"It holds for the next invoice alone: the one of {when(row.current_period_end)}."]
    if row.discounts:
        had = ", ".join(discount_words(each, row.currency) for each in row.discounts)
        told.append(f"It takes the place of what is taken off now: {had}.")
    return told


DISCOUNT = Deed(
    verb="discounted",
    title="Give a discount",
    button="Take it off",
    form=DiscountForm,
    tell=_tell_discount,
    refuse=why_not_live,
    do=_discount,
)
