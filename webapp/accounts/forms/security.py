"""What a person types or presses to show who they are, and about the locks of their account."""

from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length


class CodeForm(FlaskForm):
    """A code of an authenticator app, or a recovery code."""

    code = StringField("Code", [InputRequired("Type the code."), Length(max=64)])
    next = HiddenField()


class ProveForm(FlaskForm):
    """For somebody who is logged in and shows their password again."""

    password = PasswordField("Password", [InputRequired("Type your password."), Length(max=1000)])
    next = HiddenField()


class PasskeyForm(FlaskForm):
    """``credential`` is written by the script: what the browser made, as JSON."""

    name = StringField("Name", [Length(max=60, message="Use 60 characters at the most.")])
    credential = HiddenField(validators=[Length(max=20_000)])


class NameForm(FlaskForm):
    """Another name for a passkey."""

    name = StringField(
        "Name",
        [InputRequired("Type a name."), Length(max=60, message="Use 60 characters at the most.")],
    )
