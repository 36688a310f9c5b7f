"""Form fields that any capability's forms are made of."""

from typing import Any

from wtforms import IntegerField

# As many as a bigint surely holds.
MAX_DIGITS = 18


class WholeField(IntegerField):
    """A whole number that a column can hold: ranges of validators break on one much longer."""

    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist and len(valuelist[0]) > MAX_DIGITS:
            self.data = None
            raise ValueError("That number is too long.")
        super().process_formdata(valuelist)
