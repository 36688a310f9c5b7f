"""What a person types to move their account to another address."""

from flask_wtf import FlaskForm
from wtforms import EmailField
from wtforms.validators import InputRequired, Length


class ChangeEmailForm(FlaskForm):
    email = EmailField("New email", [InputRequired("Type the new address."), Length(max=320)])
