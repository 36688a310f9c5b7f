"""The form of a dunning policy: days, mails and hours as one says them, read into its rules."""

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

from wtforms import (
    BooleanField,
    DateField,
    FieldList,
    Form,
    FormField,
    SelectField,
    SelectMultipleField,
    StringField,
    TimeField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from admin.billing.declined import KIND_TITLES
from admin.fields import MoneyField, WordsField, one_line
from webapp.billing.models import DeclineKind
from webapp.billing.policy import LAST_DAY, EndAction, Policy
from webapp.billing.services.dunning.policies import MAILS
from webapp.core import clock
from webapp.core.fields import WholeField

MOST_MAILS = 12
SPARE_ROWS = 2
USUAL_PAST = timedelta(days=90)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ENDS = {
    EndAction.CANCEL: "Cancel the subscription",
    EndAction.PAUSE: "Pause the subscription",
    EndAction.KEEP: "Close the case and keep the subscription",
}
REASONS = {
    "subscription_create": "The first payment of a subscription",
    "subscription_cycle": "A renewal",
    "subscription_update": "A change of plan",
    "subscription_threshold": "A threshold was reached",
    "manual": "An invoice written by hand",
}


class ChoicesField(SelectMultipleField):
    """Some of a few, each with a box to tick."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


def _choices(titles: dict[Any, str]) -> list[SelectChoice]:
    return [SelectChoice(getattr(key, "value", key), title) for key, title in titles.items()]


class MailingForm(Form):
    day = WholeField("Day", [Optional(), NumberRange(0, LAST_DAY)])
    mail = SelectField("Mail", choices=_choices(MAILS))
    kinds = ChoicesField("Only for", choices=_choices(KIND_TITLES))


class PastForm(Form):
    """The time whose cases a policy is tried on."""

    since = DateField("Cases since", [Optional()])
    until = DateField("Until", [Optional()])

    def suggest(self) -> None:
        today = clock.now().date()
        for field, usual in ((self.since, today - USUAL_PAST), (self.until, today)):
            if not field.raw_data:
                field.data = usual


class PolicyForm(PastForm):
    mailings = FieldList(FormField(MailingForm), max_entries=MOST_MAILS + SPARE_ROWS)
    banner = BooleanField("Show a banner on every page until it is paid")
    wall_day = WholeField(
        "Wall on day", [Optional(), NumberRange(0, LAST_DAY)], description="Empty: no wall."
    )
    end_day = WholeField(
        "End on day", [Optional(), NumberRange(0, LAST_DAY)], description="Empty: it never ends."
    )
    end = SelectField("What the end does", [InputRequired("Choose one.")], choices=_choices(ENDS))
    quiet_from = TimeField("Quiet from", [InputRequired("Like 21:00.")])
    quiet_to = TimeField("Quiet to", [InputRequired("Like 08:00.")])
    weekdays = ChoicesField(
        "Mails may go on",
        coerce=int,
        choices=[SelectChoice(number, day) for number, day in enumerate(DAYS)],
        description="By their clock.",
    )
    minimum_amount = MoneyField(
        "Smallest amount", [Optional()], description="Less than this is recorded and not chased."
    )
    excluded_plans = ChoicesField("Plans left alone", choices=[], validate_choice=False)
    excluded_reasons = ChoicesField("Invoices left alone", choices=_choices(REASONS))
    card_expiry_days = WordsField(
        "Days before a card expires",
        description="A mail goes on each of these days, like 30, 15, 7. None: no such mails.",
    )
    note = StringField(
        "Why this version",
        [Length(max=200), one_line],
        description="For whoever reads the history.",
    )

    def offer(self, plans: Sequence[tuple[str, str]]) -> None:
        """Offer the plans there are, and those the policy names though they are gone."""
        known = dict(plans)
        named = {slug: slug for slug in self.excluded_plans.data or [] if slug not in known}
        self.excluded_plans.choices = _choices(known | named)
        self.suggest()

    def rules(self) -> dict[str, Any]:
        """Return the JSON of what was typed, for ``Policy.of`` to judge."""
        typed = [each.form for each in self.mailings if each.form.day.data is not None]
        rows = [
            {"day": form.day.data, "mail": form.mail.data, "kinds": form.kinds.data or []}
            for form in sorted(typed, key=lambda form: form.day.data)
        ]
        names = ("banner", "wall_day", "end_day", "end", "excluded_plans", "excluded_reasons")
        return {name: self[name].data for name in names} | {
            "mailings": rows,
            "quiet_from": _minutes(self.quiet_from.data),
            "quiet_to": _minutes(self.quiet_to.data),
            "weekdays": self.weekdays.data or [],
            "minimum_amount": self.minimum_amount.data or 0,
            "card_expiry_days": [_days(word) for word in self.card_expiry_days.data or []],
        }

    def spare(self) -> None:
        """Leave a few rows empty, to be typed into."""
        empty = sum(each.form.day.data is None for each in self.mailings)
        room = MOST_MAILS - len(self.mailings)
        for _ in range(min(SPARE_ROWS - empty, room)):
            self.mailings.append_entry({"day": None, "mail": next(iter(MAILS)), "kinds": []})


def typed_before(policy: Policy) -> dict[str, Any]:
    """Return what the form shows of a policy."""
    rules = policy.as_rules()
    return rules | {
        "quiet_from": time(policy.quiet_from // 60, policy.quiet_from % 60),
        "quiet_to": time(policy.quiet_to // 60, policy.quiet_to % 60),
        "card_expiry_days": [str(day) for day in policy.card_expiry_days],
    }


def facts_of(policy: Policy) -> list[tuple[str, str]]:
    """Return a policy in words, beside its schedule."""
    days = [DAYS[day] for day in sorted(policy.weekdays)]
    expiry = ", ".join(str(day) for day in policy.card_expiry_days)
    reasons = [REASONS.get(reason, reason) for reason in sorted(policy.excluded_reasons)]
    return [
        ("Banner", "On every page until it is paid" if policy.banner else "None"),
        ("Quiet", f"{_clock(policy.quiet_from)} to {_clock(policy.quiet_to)}, by their clock"),
        ("Mails go on", "Every day" if len(days) == len(DAYS) else ", ".join(days)),
        ("Plans left alone", ", ".join(sorted(policy.excluded_plans)) or "None"),
        ("Invoices left alone", ", ".join(reasons) or "None"),
        ("Card expires", f"{expiry} days before" if expiry else "No mail"),
    ]


def kinds_of(policy: Policy, key: str) -> list[DeclineKind]:
    """Return the refusals that a step is for."""
    return [kind for kind in DeclineKind if any(step.key == key for step in policy.steps(kind))]


def _minutes(at: time | None) -> int:
    return at.hour * 60 + at.minute if at else 0


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _days(word: str) -> int | str:
    """Return a number of days; what is none is left for the policy to refuse in its words."""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 4 else word
