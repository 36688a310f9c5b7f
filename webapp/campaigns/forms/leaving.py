"""What somebody may say while they leave; nobody has to say anything."""

import re

from flask_wtf import FlaskForm
from wtforms import RadioField, SelectChoice, TextAreaField
from wtforms.validators import Length, Optional

from webapp.campaigns.models import LeaveReason
from webapp.campaigns.services.unsubscribing import MAX_COMMENT

REASONS = [
    SelectChoice(LeaveReason.NO_LONGER.value, "I no longer want these mails"),
    SelectChoice(LeaveReason.NEVER_SIGNED_UP.value, "I never signed up for them"),
    SelectChoice(LeaveReason.INAPPROPRIATE.value, "They are inappropriate"),
    SelectChoice(LeaveReason.SPAM.value, "They are spam"),
    SelectChoice(LeaveReason.OTHER.value, "Something else"),
]
UNPRINTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")


def _text(words: str | None) -> str:
    return UNPRINTED.sub("", (words or "").replace("\r\n", "\n")).strip()


class LeaveForm(FlaskForm):
    """Why somebody leaves. The signed address it is sent to is its token."""

    class Meta:
        csrf = False

    reason = RadioField("Why?", [Optional()], choices=REASONS, default=None)
    comment = TextAreaField(
        "Anything you want to tell us",
        [Optional(), Length(max=MAX_COMMENT, message=f"Use {MAX_COMMENT} characters at the most.")],
        filters=[_text],
    )

    def said(self) -> LeaveReason:
        """Return the reason; whoever only writes a few words has another one."""
        if self.reason.data:
            return LeaveReason(self.reason.data)
        return LeaveReason.OTHER if self.comment.data else LeaveReason.UNSAID
