"""The form for leaving: somebody has to mean it."""

from flask_wtf import FlaskForm
from wtforms import Field, StringField
from wtforms.validators import DataRequired, Length, ValidationError

WORD = "delete"


class CloseForm(FlaskForm):
    confirmation = StringField(f"Type the word {WORD}", validators=[DataRequired(), Length(max=40)])

    def validate_confirmation(self, field: Field) -> None:
        if (field.data or "").strip().lower() != WORD:
            raise ValidationError(f"Type “{WORD}” to show that you mean it.")
