"""The rooms of the shop's own habits: its face and sender, its shipping methods, its tax rates."""

from typing import Any, ClassVar

from flask import flash, redirect, request
from sqlalchemy import ColumnElement, or_
from werkzeug import Response
from wtforms import (
    BooleanField,
    ColorField,
    EmailField,
    Form,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Email, InputRequired, Length, NumberRange, Optional, Regexp

from admin.base import Changes, Column, Money, Page, Refusing, Room, action, page, record
from admin.fields import CountriesField, MoneyField, PercentField, one_line
from webapp.accounts.permissions import Permission
from webapp.core.db import db
from webapp.core.fields import WholeField
from webapp.core.shop import get_shop
from webapp.orders.models import ShippingMethod, TaxRate

LOCALES = {
    "en_US": "English, United States",
    "en_GB": "English, United Kingdom",
    "de_DE": "German, Germany",
    "fr_FR": "French, France",
    "es_ES": "Spanish, Spain",
    "ja_JP": "Japanese, Japan",
}
COUNTRY = Regexp(r"^[A-Za-z]{2}$", message="Two letters, like US or DE.")


def _capitals(text: str | None) -> str | None:
    return text.strip().upper() if text else text


class ShopForm(Form):
    name = StringField("Name", [InputRequired("A shop needs a name."), Length(max=80), one_line])
    tagline = StringField("Tagline", [Length(max=160), one_line])
    accent = ColorField("Accent colour", [Regexp(r"^#[0-9a-fA-F]{6}$", message="Like #1f5eff.")])
    locale = SelectField("Language of figures", [InputRequired()])
    country = StringField("Home country", [InputRequired(), COUNTRY], filters=[_capitals])
    support_email = EmailField("Support address", [InputRequired(), Email(), one_line])
    sender_name = StringField("Sender's name", [Length(max=80), one_line])
    sender_email = EmailField("Sender's address", [InputRequired(), Email(), one_line])
    postal_address = TextAreaField(
        "Postal address",
        [Length(max=400)],
        description="At the foot of every mail; many laws ask for it.",
        render_kw={"rows": 3},
    )
    staff_second_factor = BooleanField(
        "Staff need a second factor",
        description="A passkey or an authenticator app. Who has none is asked to set one up first.",
    )
    record_client_events = BooleanField(
        "Record what visitors do",
        description="Pages, buttons, links and script errors. Do Not Track is always honoured.",
    )


class ShopSettings(Page):
    """The one row of settings, as one page."""

    sections = (
        ("Face", ("name", "tagline", "accent")),
        ("Place", ("country", "locale")),
        ("Mail", ("support_email", "sender_name", "sender_email", "postal_address")),
        ("Security", ("staff_second_factor",)),
        ("Privacy", ("record_client_events",)),
    )

    @page("/", write=Permission.SETTINGS_EDIT)
    def index(self) -> Response | tuple[str, int]:
        row = get_shop()
        form = ShopForm(request.form if request.method == "POST" else None, obj=row)
        known = LOCALES if row.locale in LOCALES else {row.locale: row.locale, **LOCALES}
        form.locale.choices = [SelectChoice(code, name) for code, name in known.items()]
        if request.method == "POST" and form.validate():
            with Refusing({}) as refusal, Changes(row) as changes:
                form.populate_obj(row)
                db.session.flush()
                record("shop.changed", "shop:1", fields=changes.fields)
                db.session.commit()
                flash("The settings are saved.", "success")
                return redirect(self.get_url(".index"), 303)
            form.form_errors = [refusal.sentence]
        html = self.render(
            "admin/settings.html",
            form=form,
            sections=self.sections,
            may_save=self.allows(Permission.SETTINGS_EDIT),
        )
        return html, 422 if request.method == "POST" else 200


class ShippingForm(Form):
    code = StringField(
        "Code",
        [
            InputRequired("Type a code."),
            Length(max=40),
            Regexp(r"^[a-z0-9_-]+$", message="a-z, 0-9, - and _ only."),
        ],
        description="For you and for reports, like standard.",
    )
    name = StringField("Name", [InputRequired("Buyers need a name."), Length(max=80), one_line])
    carrier = StringField("Carrier", [Length(max=80), one_line])
    unit_amount = MoneyField("Price", [InputRequired("0 makes it free.")])
    countries = CountriesField("Countries", description="Two letters each; none means everywhere.")
    min_weight_grams = WholeField("From weight, g", [Optional(), NumberRange(0, 1_000_000_000)])
    max_weight_grams = WholeField("Up to weight, g", [Optional(), NumberRange(0, 1_000_000_000)])
    position = WholeField("Position", [Optional(), NumberRange(0, 10_000)], default=0)
    active = BooleanField("Offered to buyers", default=True)


class ShippingMethods(Room):
    """Ways to send a parcel."""

    noun = "shipping method"
    may_create = Permission.SETTINGS_EDIT
    may_edit = Permission.SETTINGS_EDIT
    form = ShippingForm
    newest_first = False
    clashes: ClassVar[dict[str, str]] = {
        "uq_shipping_method_code": "There is already a method of that code."
    }
    columns = (
        Column("name", "Name", sort=ShippingMethod.name),
        Column("code", "Code", "code"),
        Column("countries", "Countries", "words"),
        Column("carrier", "Carrier"),
        Column("price", "Price", "money", lambda m: Money(m.unit_amount, get_shop().currency)),
        Column("max_weight_grams", "Up to, g", "number"),
        Column("active", "Offered", "flag", sort=ShippingMethod.active),
    )
    facts = (
        Column("code", "Code", "code"),
        Column("carrier", "Carrier"),
        Column("price", "Price", "money", lambda m: Money(m.unit_amount, get_shop().currency)),
        Column("countries", "Countries", "words"),
        Column("min_weight_grams", "From weight, g", "number"),
        Column("max_weight_grams", "Up to weight, g", "number"),
        Column("position", "Position", "number"),
        Column("active", "Offered to buyers", "flag"),
    )

    def title_of(self, row: ShippingMethod) -> str:
        return row.name

    def save(self, form: Any, row: ShippingMethod | None) -> ShippingMethod:
        form.min_weight_grams.data = form.min_weight_grams.data or 0
        form.position.data = form.position.data or 0
        saved: ShippingMethod = super().save(form, row)
        return saved

    @action(
        "Delete",
        permission=Permission.SETTINGS_EDIT,
        verb="deleted",
        tone="danger",
        confirm="Delete it?",
        gone=True,
    )
    def remove(self, row: ShippingMethod) -> str:
        name = row.name
        db.session.delete(row)
        return f"{name} is deleted."


class TaxForm(Form):
    country = StringField("Country", [InputRequired(), COUNTRY], filters=[_capitals])
    name = StringField("Name", [InputRequired("Like VAT."), Length(max=40), one_line])
    basis_points = PercentField("Rate in percent", [InputRequired("Type the rate.")])
    inclusive = BooleanField("Prices contain it already")


class TaxRates(Room):
    """Tax by the buyer's country."""

    noun = "tax rate"
    may_create = Permission.SETTINGS_EDIT
    may_edit = Permission.SETTINGS_EDIT
    form = TaxForm
    newest_first = False
    search_hint = "Country or name"
    clashes: ClassVar[dict[str, str]] = {
        "uq_tax_rate_country": "There is already a rate for that country."
    }
    columns = (
        Column("country", "Country", sort=TaxRate.country),
        Column("name", "Name"),
        Column("rate", "Rate", "text", lambda rate: f"{rate.basis_points / 100:g} %"),
        Column("inclusive", "In the prices", "flag"),
    )
    facts = columns[1:]

    def search(self, text: str) -> ColumnElement[bool]:
        return or_(TaxRate.country == text.upper(), TaxRate.name.icontains(text, autoescape=True))

    def title_of(self, row: TaxRate) -> str:
        return f"{row.name}, {row.country}"

    @action(
        "Delete",
        permission=Permission.SETTINGS_EDIT,
        verb="deleted",
        tone="danger",
        confirm="Delete it?",
        gone=True,
    )
    def remove(self, row: TaxRate) -> str:
        title = self.title_of(row)
        db.session.delete(row)
        return f"{title} is deleted."
