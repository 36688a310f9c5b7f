"""What a person types to open an account."""

from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, Optional

from webapp.accounts.forms.account import one_line


class RegisterForm(FlaskForm):
    """``terms`` is the id of the version that was shown; both fields go where there are none."""

    name = StringField(
        "Name",
        [Optional(), Length(max=100, message="Use 100 characters at the most.")],
        filters=[one_line],
    )
    email = EmailField("Email", [InputRequired("Type your email address."), Length(max=320)])
    password = PasswordField("Password", [InputRequired("Choose a password."), Length(max=1000)])
    newsletter = BooleanField("Send me the newsletter")
    agree = BooleanField(
        "I agree to the terms of use",
        [InputRequired("An account needs your agreement to the terms of use.")],
    )
    terms = HiddenField()
    next = HiddenField()
