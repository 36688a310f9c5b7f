"""What a person types to get in."""

from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, PasswordField
from wtforms.validators import InputRequired, Length


class LoginForm(FlaskForm):
    """``next`` is the page that sent the visitor here."""

    email = EmailField("Email", [InputRequired("Type your email address."), Length(max=320)])
    password = PasswordField("Password", [InputRequired("Type your password."), Length(max=1000)])
    remember = BooleanField("Keep me signed in on this device")
    next = HiddenField()
