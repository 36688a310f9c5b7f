"""What staff may do to a case by a page of its own: charge, hold, leave alone, write off."""

from datetime import UTC, datetime, time, timedelta

from wtforms import DateField, Form, StringField, ValidationError
from wtforms.validators import InputRequired, Length, Optional

from admin.billing.asking import Asked, Deed, wish_for
from admin.billing.customers import JustAsk
from admin.fields import one_line
from webapp.accounts.views.guard import actor
from webapp.billing.models import CaseState, DunningCase
from webapp.billing.services.dunning import acting
from webapp.core import clock
from webapp.core.money import format_money

LONGEST = timedelta(days=90)


def _why_not_open(row: DunningCase) -> str | None:
    if row.state is not CaseState.OPEN:
        return f"This case is {row.state.value.replace('_', ' ')}: there is nothing left to chase."
    return None


def _owed(row: DunningCase) -> str:
    return format_money(row.amount, row.currency)


def _try_now(row: DunningCase, _form: Form) -> str:
    said = f"{_owed(row)} were taken, and the case is closed."
    return Asked(said, acting.try_now(row.id, actor(), wish_for(f"try:{row.id}")).id)


TRY_NOW = Deed(
    verb=None,
    title="Charge it now",
    button="Charge the card",
    form=JustAsk,
    tell=lambda row: [
        f"The customer's card is charged {_owed(row)} at once, whatever day it is.",
        "If the bank refuses, it counts as one more try; banks frown on many.",
    ],
    refuse=_why_not_open,
    do=_try_now,
)


class HoldForm(Form):
    until = DateField(
        "Until",
        [Optional()],
        description="At midnight (UTC) it goes on by itself. Empty: until somebody lets it go on.",
    )

    def validate_until(self, field: DateField) -> None:
        today = clock.now().date()
        if field.data is not None and not today < field.data <= today + LONGEST:
            raise ValidationError(f"Choose a day from tomorrow to {LONGEST.days} days from now.")


def _why_not_holdable(row: DunningCase) -> str | None:
    if row.paused_at is not None:
        return "This case is paused already."
    if row.excluded_reason is not None:
        return "This case is not chased at all; there is nothing to pause."
    return _why_not_open(row)


def _pause(row: DunningCase, form: HoldForm) -> str:
    day = form.until.data
    until = datetime.combine(day, time.min, UTC) if day else None
    acting.pause(row.id, until, actor())
    return f"Case {row.id} is paused{f' until {day:%Y-%m-%d}' if day else ''}."


PAUSE = Deed(
    verb=None,
    title="Pause the case",
    button="Pause it",
    form=HoldForm,
    tell=lambda _row: [
        "No mail goes, no wall comes, nothing ends while it is paused; its days stand still.",
        "Stripe may still try the card by itself, and the customer can still pay.",
    ],
    refuse=_why_not_holdable,
    do=_pause,
)


class ExcludeForm(Form):
    reason = StringField(
        "Why",
        [InputRequired("Say why, for whoever wonders later."), Length(max=200), one_line],
        description="For staff alone, like: pays by bank transfer.",
    )


def _why_not_excludable(row: DunningCase) -> str | None:
    if row.excluded_reason is not None:
        return "This case is excluded already."
    return _why_not_open(row)


def _exclude(row: DunningCase, form: ExcludeForm) -> str:
    acting.exclude(row.id, (form.reason.data or "").strip(), actor())
    return f"Case {row.id} is recorded and not chased."


EXCLUDE = Deed(
    verb=None,
    title="Exclude the case",
    button="Leave it alone",
    form=ExcludeForm,
    tell=lambda _row: [
        "Nothing is sent and nothing is shut for this invoice, and what was shut for it opens.",
        "The invoice stays owed; Stripe may still try the card by itself.",
    ],
    refuse=_why_not_excludable,
    do=_exclude,
)


def _write_off(row: DunningCase, _form: Form) -> str:
    said = f"{_owed(row)} are written off, and the case is closed."
    return Asked(said, acting.write_off(row.id, actor(), wish_for(f"write_off:{row.id}")).id)


WRITE_OFF = Deed(
    verb=None,
    title="Write it off",
    button="Write it off",
    form=JustAsk,
    tell=lambda row: [
        f"Nobody goes after the {_owed(row)} any more: the case ends, mails that wait are "
        "withdrawn, and what was shut for it opens.",
        "The invoice stays in the books as a loss, and the customer can still pay it. What they "
        "subscribe to goes on until it is cancelled.",
    ],
    refuse=_why_not_open,
    do=_write_off,
    tone="danger",
)
