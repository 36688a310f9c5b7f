"""What the forms of the shop may say; whatever else arrives is refused with a sentence.

The token against forgery is checked for the whole app before any of these is read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional, Regexp

from webapp.core.errors import DomainError
from webapp.core.fields import WholeField

MAX_QUANTITY = 99
MAX_ID = 2**63 - 1
QUANTITY_FIELD = re.compile(r"quantity-(\d{1,18})")
QUANTITY_SENTENCE = f"Choose a quantity from 1 to {MAX_QUANTITY}."


class Incomplete(DomainError):
    """The form was not ours, or not all of it arrived."""

    code = "form_incomplete"

    def __init__(self) -> None:
        super().__init__("The form arrived incomplete. Go back, reload the page and try again.")


class _Form(FlaskForm):
    class Meta:
        csrf = False

    def sentence(self) -> str:
        """Return what is wrong, in our words: a field's own come before its validators'."""
        return str(next(iter(self.errors.values()))[-1])


class AddForm(_Form):
    sku_id = WholeField(validators=[InputRequired(), NumberRange(1, MAX_ID)])
    quantity = WholeField(default=1, validators=[NumberRange(1, MAX_QUANTITY, QUANTITY_SENTENCE)])


class ShippingForm(_Form):
    country = StringField(
        validators=[
            DataRequired("Choose a country."),
            Regexp("[A-Za-z]{2}$", 0, "Choose a country."),
        ]
    )
    method = StringField(validators=[Optional(), Length(max=100)])


class DiscountForm(_Form):
    code = StringField(
        filters=[lambda text: (text or "").replace("\0", "").strip()],
        validators=[DataRequired("Enter a code."), Length(1, 64, "We don't know this code.")],
    )
    email = StringField(
        filters=[lambda text: (text or "").replace("\0", "").strip()],
        validators=[Optional(), Length(max=254, message="This email address is too long.")],
    )


class CheckoutForm(_Form):
    seen_total = WholeField(validators=[InputRequired(), NumberRange(0, 10**12)])
    seen_currency = HiddenField(validators=[InputRequired(), Regexp("[a-z]{3}$")])


@dataclass(frozen=True, slots=True)
class CartChange:
    """The cart page as it was sent: ``quantities`` by sku; None where it was no number."""

    remove: int | None
    quantities: dict[int, int | None]


def read_cart_change(form: Mapping[str, str]) -> CartChange:
    """Return what the cart page's form asks for. Raises Incomplete."""
    remove = form.get("remove")
    if remove is not None and not (remove.isascii() and remove.isdigit() and len(remove) <= 18):
        raise Incomplete
    fields = ((QUANTITY_FIELD.fullmatch(name), value) for name, value in form.items())
    quantities = {int(match[1]): _quantity(value) for match, value in fields if match}
    if remove is None and not quantities:
        raise Incomplete
    return CartChange(int(remove) if remove else None, quantities)


def _quantity(text: str) -> int | None:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        return None
    number = int(text)
    return number if number <= MAX_QUANTITY else None
