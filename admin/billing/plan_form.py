"""The form of a plan: what it grants is typed line by line, as one would write it down."""

from typing import Any

from wtforms import Form, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from admin.fields import MoneyField, one_line
from webapp.billing.models import Plan
from webapp.billing.services.plans import LONGEST_TRIAL, SLUG, PlanDraft
from webapp.core.fields import MAX_DIGITS, WholeField

NO_LIMIT = "unlimited"
MAX_LINES = 100


class PairsField(TextAreaField):
    """A mapping, typed as one ``key: value`` a line."""

    hint = "Write each line like reports: Reports and exports."

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "\n".join(f"{key}: {self.as_typed(value)}" for key, value in self.pairs())

    def pairs(self) -> Any:
        return (self.data or {}).items()

    def as_typed(self, value: Any) -> str:
        return str(value)

    def as_kept(self, text: str) -> Any:
        return text

    def process_formdata(self, valuelist: list[str]) -> None:
        found: dict[str, Any] = {}
        lines = (valuelist[0] if valuelist else "").replace("\0", "").splitlines()
        for line in [each for each in lines if each.strip()][: MAX_LINES + 1]:
            key, colon, value = (part.strip() for part in line.partition(":"))
            if not (key and colon and value):
                self.data = None
                raise ValueError(f"{line.strip()[:60]!r}: {self.hint}")
            if key in found:
                raise ValueError(f"{key[:60]!r} is there twice.")
            found[key] = self.as_kept(value)
        if len(found) > MAX_LINES:
            raise ValueError(f"At most {MAX_LINES} lines, please.")
        self.data = found


class LimitsField(PairsField):
    """A mapping to whole numbers, typed as one ``key: 10`` a line."""

    hint = f"Write each line like projects: 10, or projects: {NO_LIMIT}."

    def as_typed(self, value: Any) -> str:
        return NO_LIMIT if value is None else str(value)

    def as_kept(self, text: str) -> Any:
        if text.lower() == NO_LIMIT:
            return None
        bare = text.replace(",", "")
        if not (bare.isascii() and bare.isdigit() and len(bare) <= MAX_DIGITS):
            raise ValueError(f"{text[:60]!r} is no limit. {self.hint}")
        return int(bare)


class PlanForm(Form):
    """What can be changed of a plan at any time."""

    name = StringField("Name", [InputRequired("Customers need a name."), Length(max=80), one_line])
    description = TextAreaField("Description", [Length(max=500)], render_kw={"rows": 2})
    features = PairsField(
        "Features",
        description="One on each line: the key code asks for, and the words customers read.",
        render_kw={"rows": 5},
    )
    limits = LimitsField(
        "Limits",
        description=f"One on each line, like projects: 10 or projects: {NO_LIMIT}.",
        render_kw={"rows": 3},
    )
    trial_days = WholeField(
        "Trial, days", [Optional(), NumberRange(0, LONGEST_TRIAL)], description="0: no trial."
    )
    position = WholeField(
        "Position",
        [Optional(), NumberRange(0, 10_000)],
        description="The dearer of two plans has the higher one.",
    )

    def draft(self) -> PlanDraft:
        return PlanDraft(
            name=self.name.data or "",
            description=self.description.data or "",
            features=self.features.data or {},
            limits=self.limits.data or {},
            trial_days=self.trial_days.data or 0,
            position=self.position.data or 0,
        )


class NewPlanForm(PlanForm):
    """A plan's first time: its short name for good, and what it costs."""

    slug = StringField(
        "Short name",
        [
            InputRequired("Code and addresses name it by this."),
            Regexp(f"^{SLUG.pattern}$", message="2 to 40 of a-z, 0-9 and -, a letter first."),
        ],
        description="For code and addresses, like pro. It stays for good.",
    )
    monthly = MoneyField("Price a month", [Optional()], description="Empty: not sold by the month.")
    yearly = MoneyField("Price a year", [Optional()], description="Empty: not sold by the year.")


def typed_before(plan: Plan) -> dict[str, Any]:
    names = ("name", "description", "features", "limits", "trial_days", "position")
    return {name: getattr(plan, name) for name in names}
