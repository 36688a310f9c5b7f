"""What a person types to get a new password."""

from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField
from wtforms.validators import InputRequired, Length


class ForgotForm(FlaskForm):
    email = EmailField("Email", [InputRequired("Type your email address."), Length(max=320)])


class NewPasswordForm(FlaskForm):
    """For somebody who has shown otherwise who they are."""

    password = PasswordField(
        "New password", [InputRequired("Choose a password."), Length(max=1000)]
    )


class ChangePasswordForm(FlaskForm):
    current = PasswordField(
        "Current password", [InputRequired("Type your current password."), Length(max=1000)]
    )
    password = PasswordField(
        "New password", [InputRequired("Choose a password."), Length(max=1000)]
    )
