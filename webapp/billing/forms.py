"""What members say on the billing pages."""

from datetime import UTC, datetime

from flask_wtf import FlaskForm
from wtforms import HiddenField, RadioField, SelectChoice, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

from webapp.billing.models import CancelReason
from webapp.core.fields import WholeField

MAX_ID = 2**63 - 1
# 9999 as seconds since 1970: what a datetime can hold.
LAST_SECOND = 253_402_300_799

REASONS = [
    SelectChoice(CancelReason.TOO_EXPENSIVE.value, "It costs too much"),
    SelectChoice(CancelReason.UNUSED.value, "I don’t use it enough"),
    SelectChoice(CancelReason.MISSING_FEATURES.value, "Something I need is missing"),
    SelectChoice(CancelReason.SWITCHED_SERVICE.value, "I use something else now"),
    SelectChoice(CancelReason.TOO_COMPLEX.value, "It is too complicated"),
    SelectChoice(CancelReason.LOW_QUALITY.value, "It isn’t good enough"),
    SelectChoice(CancelReason.CUSTOMER_SERVICE.value, "I wasn’t helped well"),
    SelectChoice(CancelReason.OTHER.value, "Something else"),
]


class SubscribeForm(FlaskForm):
    price = WholeField(validators=[InputRequired(), NumberRange(1, MAX_ID)])


class ChangeForm(FlaskForm):
    """A change as it was shown: ``at`` is the second it was computed for, ``due`` what it costs."""

    price = WholeField(validators=[InputRequired(), NumberRange(1, MAX_ID)])
    at = WholeField(validators=[InputRequired(), NumberRange(0, LAST_SECOND)])
    due = WholeField(validators=[InputRequired(), NumberRange(-MAX_ID, MAX_ID)])

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at.data, UTC)


class CancelForm(FlaskForm):
    """``decision`` is empty until an offer was seen: then ``stay`` or ``leave``.

    ``terms`` are those of the offer that was seen.
    """

    reason = RadioField(
        "Why are you leaving?",
        choices=REASONS,
        validators=[InputRequired("Choose what fits best: it helps us mend it.")],
    )
    comment = TextAreaField(
        "What could we have done better?",
        validators=[Length(max=1000, message="Use 1000 characters at the most.")],
        filters=[lambda text: (text or "").replace("\0", "").strip()],
    )
    decision = HiddenField(default="")
    terms = HiddenField(default="")
