"""The room of discount codes."""

from typing import Any, ClassVar

from flask import request
from sqlalchemy import ColumnElement
from wtforms import BooleanField, Form, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from admin.base import Column, Filter, Money, Room, action
from admin.fields import MomentField, MoneyField, PercentField
from webapp.accounts.permissions import Permission
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.fields import WholeField
from webapp.core.shop import get_shop
from webapp.orders.models import DiscountCode, DiscountKind

KINDS = [
    SelectChoice(DiscountKind.PERCENT.value, "Percent off the items"),
    SelectChoice(DiscountKind.AMOUNT.value, "Amount off the items"),
    SelectChoice(DiscountKind.FREE_SHIPPING.value, "Free shipping"),
]


class DiscountForm(Form):
    code = StringField(
        "Code",
        [
            InputRequired("Type the code."),
            Length(max=40),
            Regexp(r"^[A-Za-z0-9_-]+$", message="Letters, digits, - and _ only."),
        ],
        description="What a buyer types; capitals don't matter.",
    )
    kind = SelectField("Kind", [InputRequired()], choices=KINDS)
    percent = PercentField("Percent", [Optional()], description="For percent off, like 10.")
    amount = MoneyField("Amount", [Optional()], description="For an amount off, like 5.00.")
    minimum_amount = MoneyField("Minimum order", [Optional()], description="Items worth this much.")
    starts_at = MomentField("Starts (UTC)", [Optional()])
    ends_at = MomentField("Ends (UTC)", [Optional()])
    total_limit = WholeField("Uses in total", [Optional(), NumberRange(1, 1_000_000_000)])
    customer_limit = WholeField("Uses per customer", [Optional(), NumberRange(1, 1_000_000)])
    stackable = BooleanField("May be combined with other codes")
    active = BooleanField("Active", default=True)


def worth(code: DiscountCode) -> str | Money:
    """Return what a code takes off, for a person."""
    if code.kind is DiscountKind.PERCENT:
        return f"{code.value / 100:g} %"
    if code.kind is DiscountKind.AMOUNT:
        return Money(code.value, get_shop().currency)
    return "Free shipping"


class Discounts(Room):
    """Codes that make a cart cheaper."""

    noun = "discount code"
    may_create = Permission.DISCOUNTS_EDIT
    may_edit = Permission.DISCOUNTS_EDIT
    form = DiscountForm
    search_hint = "Code"
    clashes: ClassVar[dict[str, str]] = {
        "uq_discount_code_code": "There is already a code of that name.",
        "ck_discount_code_used": "It was used more often than that already.",
    }
    columns = (
        Column("code", "Code", "text", sort=DiscountCode.code),
        Column("worth", "Takes off", "worth", worth),
        Column("active", "Active", "flag", sort=DiscountCode.active),
        Column("used", "Used", "number", sort=DiscountCode.used),
        Column("total_limit", "Of", "number"),
        Column("starts_at", "Starts", "moment"),
        Column("ends_at", "Ends", "moment"),
    )
    facts = (
        Column("worth", "Takes off", "worth", worth),
        Column(
            "minimum_amount",
            "Minimum order",
            "money",
            lambda code: Money(code.minimum_amount, get_shop().currency),
        ),
        Column("used", "Used", "number"),
        Column("total_limit", "Uses in total", "number"),
        Column("customer_limit", "Uses per customer", "number"),
        Column("stackable", "May be combined", "flag"),
        Column("active", "Active", "flag"),
        Column("starts_at", "Starts", "moment"),
        Column("ends_at", "Ends", "moment"),
        Column("created_at", "Made", "moment"),
    )
    filters = (
        Filter(
            "active",
            "Active",
            [("yes", "Active"), ("no", "Switched off")],
            lambda value: DiscountCode.active.is_(value == "yes"),
        ),
    )
    sections = (
        ("The code", ("code", "kind", "percent", "amount", "minimum_amount")),
        ("When and how often", ("starts_at", "ends_at", "total_limit", "customer_limit")),
        ("Use", ("stackable", "active")),
    )

    def search(self, text: str) -> ColumnElement[bool]:
        return DiscountCode.code.contains(text.upper(), autoescape=True)

    def title_of(self, row: DiscountCode) -> str:
        return f"Code {row.code}"

    def edit_form(self, obj: DiscountCode) -> Form:
        values = {
            "percent": obj.value if obj.kind is DiscountKind.PERCENT else None,
            "amount": obj.value if obj.kind is DiscountKind.AMOUNT else None,
        }
        return DiscountForm(request.form or None, obj=obj, **values)

    def save(self, form: Any, row: DiscountCode | None) -> DiscountCode:
        kind = DiscountKind(form.kind.data)
        code = row or DiscountCode()
        with db.session.no_autoflush:
            code.code = form.code.data.upper()
            code.kind = kind
            code.value = _value(kind, form)
            code.minimum_amount = form.minimum_amount.data or 0
            for name in ("starts_at", "ends_at"):
                form[name].populate_obj(code, name)
            for name in ("total_limit", "customer_limit", "stackable", "active"):
                setattr(code, name, form[name].data)
            if code.starts_at and code.ends_at and code.starts_at >= code.ends_at:
                raise DomainError("A code has to start before it ends.")
            db.session.add(code)
        db.session.flush()
        return code

    @action(
        "Switch off",
        permission=Permission.DISCOUNTS_EDIT,
        verb="switched_off",
        bulk=True,
        when=lambda code: code.active,
    )
    def switch_off(self, row: DiscountCode) -> str:
        row.active = False
        return f"Code {row.code} is switched off."


def _value(kind: DiscountKind, form: Any) -> int:
    if kind is DiscountKind.FREE_SHIPPING:
        return 0
    value: int | None = form.percent.data if kind is DiscountKind.PERCENT else form.amount.data
    if not value:
        raise DomainError("Say how much the code takes off.")
    return value
