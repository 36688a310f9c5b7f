"""What somebody types to get the newsletter, here or on another site."""

from datetime import timedelta

from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, StringField, ValidationError
from wtforms.validators import DataRequired, Length, Optional

from webapp.accounts.errors import InvalidEmail
from webapp.accounts.forms.account import one_line
from webapp.accounts.services.addressing import read_email
from webapp.campaigns.services.newsletter import MAX_NAME, Wish
from webapp.core import clock
from webapp.core.errors import DomainError
from webapp.core.signing import sign, unsign

PURPOSE = "newsletter-form"
QUICKEST = timedelta(seconds=1)
LONGEST = timedelta(hours=12)


class JoinForm(FlaskForm):
    """``website`` is a trap that people neither see nor hear."""

    email = EmailField(
        "Email", [DataRequired("Type your email address."), Length(max=254)], filters=[one_line]
    )
    name = StringField(
        "Name",
        [Optional(), Length(max=MAX_NAME, message=f"Use {MAX_NAME} characters at the most.")],
        filters=[one_line],
    )
    website = StringField("Leave this empty")

    def validate_email(self, field: EmailField) -> None:
        try:
            field.data = read_email(field.data)
        except InvalidEmail as error:
            raise ValidationError(error.sentence) from None

    def wish(self) -> Wish:
        return Wish(self.email.data, self.name.data or "")

    @property
    def is_machine(self) -> bool:
        return bool(self.website.data)


class EmbeddedForm(JoinForm):
    """The same within another site, where browsers keep our cookie, and so CSRF's token, back.

    It needs neither: what it does is anybody's to do, in nobody's name. ``opened`` is signed and
    short-lived instead, and shows that the form was looked at before it was sent.
    """

    class Meta:
        csrf = False

    opened = HiddenField()

    def begin(self) -> None:
        """Note that the form is being shown now."""
        self.opened.data = sign(PURPOSE, clock.now().timestamp())

    @property
    def was_seen(self) -> bool:
        """Say whether the form was shown by us, lately, and long enough to be filled in."""
        try:
            opened = unsign(PURPOSE, self.opened.data or "", int(LONGEST.total_seconds()))
        except DomainError:
            return False
        return clock.now().timestamp() - float(opened) >= QUICKEST.total_seconds()
