"""What members write about themselves."""

import re

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, SelectField, StringField, TelField
from wtforms.validators import DataRequired, InputRequired, Length, Optional, Regexp

from webapp.accounts.models import Address
from webapp.accounts.services.addresses import PostalAddress

CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
PHONE = Regexp(
    r"\+?[0-9][0-9 ()./-]{3,30}\Z", 0, "Write the number with digits, like +1 202 555 0123."
)


def one_line(text: str | None) -> str:
    """Return the text without line breaks and what else no label can carry."""
    return " ".join(CONTROL.sub(" ", text or "").split())


def _line(label: str, most: int, missing: str = "") -> StringField:
    too_long = Length(max=most, message=f"Use {most} characters at the most.")
    needed = DataRequired(missing) if missing else Optional()
    return StringField(label, [needed, too_long], filters=[one_line])


class ProfileForm(FlaskForm):
    name = _line("Name", 100)
    phone = TelField("Phone", [Optional(), PHONE], filters=[one_line])


class AddressForm(FlaskForm):
    """``country``'s choices are the shop's: the view sets them."""

    name = _line("Full name", 100, "Who is the parcel for?")
    line1 = _line("Street and number", 150, "Type the street and number.")
    line2 = _line("Flat, floor, company", 150)
    city = _line("City", 100, "Type the city.")
    state = _line("State or region", 100)
    postal_code = _line("Postal code", 20)
    country = SelectField("Country", [InputRequired("Choose a country.")], validate_choice=True)
    phone = TelField("Phone", [Optional(), PHONE], filters=[one_line])
    make_default = BooleanField("Send parcels here by default")

    def fill(self, address: Address) -> None:
        """Show what is kept now."""
        self.process(obj=address, data={"make_default": address.is_default})

    def address(self) -> PostalAddress:
        """Return what was typed, once it is valid."""
        return PostalAddress(
            name=self.name.data,
            line1=self.line1.data,
            line2=self.line2.data,
            city=self.city.data,
            state=self.state.data,
            postal_code=self.postal_code.data,
            country=self.country.data,
            phone=self.phone.data,
        )


class AgreementForm(FlaskForm):
    """``terms`` is the version that was read."""

    terms = HiddenField(validators=[InputRequired(), Regexp(r"[0-9]{1,18}\Z")])
