"""What somebody writes to the shop, and the signs by which a machine's hand is known."""

import re
from datetime import timedelta
from typing import Any

from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, StringField, TextAreaField, ValidationError
from wtforms.validators import DataRequired, Length

from webapp.accounts.errors import InvalidEmail
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.contact import Inquiry
from webapp.core import clock
from webapp.core.errors import DomainError
from webapp.core.signing import ExpiredToken, sign, unsign

MAX_NAME, MAX_EMAIL, MAX_SUBJECT, MAX_TEXT = 100, 254, 150, 5000
PURPOSE = "contact"
QUICKEST = timedelta(seconds=3)
LONGEST = timedelta(days=1)

# All that a browser never sends from a single line; some are how headers are smuggled into mail.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]|%0[ad]", re.IGNORECASE)
UNPRINTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

FILLED_TRAP = "The field that people don't see was filled in."
TOO_QUICK = "It was sent {seconds:.0f} s after the page was opened."
TOO_LATE = "This page was open for more than a day. Your words are still here: send them again."
NOT_OURS = "The form arrived incomplete. Your words are still here: send them again."


def _strip(text: str | None) -> str:
    return (text or "").strip()


def _strip_text(text: str | None) -> str:
    return UNPRINTED.sub("", (text or "").replace("\r\n", "\n")).strip()


def _one_line(_form: FlaskForm, field: StringField) -> None:
    if CONTROL.search(field.data):
        raise ValidationError("Write this on one line, without special signs.")


class ContactForm(FlaskForm):
    """``website`` is a trap that people neither see nor hear; ``opened`` tells since when."""

    name = StringField(
        "Your name",
        [DataRequired("Tell us your name."), Length(max=MAX_NAME), _one_line],
        filters=[_strip],
    )
    email = EmailField(
        "Your email",
        [DataRequired("Type your email address."), Length(max=MAX_EMAIL), _one_line],
        filters=[_strip],
    )
    subject = StringField(
        "Subject",
        [DataRequired("Say in a few words what it is about."), Length(max=MAX_SUBJECT), _one_line],
        filters=[_strip],
    )
    text = TextAreaField(
        "Message",
        [DataRequired("Write your message."), Length(max=MAX_TEXT)],
        filters=[_strip_text],
    )
    website = StringField("Leave this empty", filters=[_strip])
    opened = HiddenField()

    def begin(self) -> None:
        """Note that the form is being shown now."""
        self.opened.data = sign(PURPOSE, clock.now().timestamp())

    def validate_email(self, field: StringField) -> None:
        try:
            field.data = read_email(field.data)
        except InvalidEmail as error:
            raise ValidationError(error.sentence) from None

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        good = bool(super().validate(*args, **kwargs))
        mistake = self._mistake_in_time()
        if mistake is not None:
            self.form_errors.append(mistake)
            self.begin()
        return good and mistake is None

    def inquiry(self) -> Inquiry:
        return Inquiry(self.name.data, self.email.data, self.subject.data, self.text.data)

    def suspicion(self) -> str:
        """Return why this may be a machine's work; empty for people."""
        if self.website.data:
            return FILLED_TRAP
        seconds = clock.now().timestamp() - self._opened_at()
        return TOO_QUICK.format(seconds=seconds) if seconds < QUICKEST.total_seconds() else ""

    def _mistake_in_time(self) -> str | None:
        try:
            age = clock.now().timestamp() - self._opened_at()
        except ExpiredToken:
            return TOO_LATE
        except DomainError:
            return NOT_OURS
        return TOO_LATE if age > LONGEST.total_seconds() else None

    def _opened_at(self) -> float:
        return float(unsign(PURPOSE, self.opened.data or "", int(LONGEST.total_seconds())))
