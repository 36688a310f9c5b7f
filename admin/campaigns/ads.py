"""The room of ads: codes that lead into the shop, and how many people came through each."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, func, or_, select
from wtforms import BooleanField, Form, StringField
from wtforms.validators import InputRequired, Length

from admin.base import Column, Filter, Room
from admin.fields import one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.models import Ad, ClientEvent
from webapp.campaigns.services import ads
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_config

DAYS = 30


class AdForm(Form):
    name = StringField("Name", [InputRequired("Name it."), Length(max=ads.MAX_NAME), one_line])
    landing = StringField(
        "Leads to",
        [InputRequired("Say where it leads."), Length(max=ads.MAX_LANDING), one_line],
        default="/",
        description="A path of this shop, like /products.",
    )
    active = BooleanField("Active", default=True)


class NewAdForm(AdForm):
    code = StringField(
        "Code",
        [InputRequired("Type the code."), Length(max=64), one_line],
        description="Letters, digits, - and _. It never changes: what came through it bears it.",
    )


def address_of(ad: Ad) -> str:
    return f"{current_config().base_url.rstrip('/')}/a/{ad.code}"


class Ads(Room):
    """Advertisements elsewhere."""

    noun = "ad"
    may_create = Permission.ADS_EDIT
    may_edit = Permission.ADS_EDIT
    added = changed = None  # the service records it
    intro = f"Visitors are those of the last {DAYS} days who came with the ad's code."
    search_hint = "Name or code"
    columns = (
        Column("name", "Name", sort=Ad.name),
        Column("code", "Code", "code", sort=Ad.code),
        Column("landing", "Leads to"),
        Column("active", "Active", "flag"),
        Column("visitors", "Visitors", "number"),
        Column("views", "Pages seen", "number"),
        Column("created_at", "Made", "moment", sort=Ad.id),
    )
    facts = (
        Column("address", "Address to advertise", "code", address_of),
        Column("code", "Code", "code"),
        Column("landing", "Leads to"),
        Column("active", "Active", "flag"),
        Column("visitors", f"Visitors in {DAYS} days", "number"),
        Column("views", "Pages they saw", "number"),
        Column("created_at", "Made", "moment"),
    )
    filters = (
        Filter(
            "active",
            "Active",
            [("yes", "Active"), ("no", "Switched off")],
            lambda value: Ad.active.is_(value == "yes"),
        ),
    )
    sections = (("The ad", ("code", "name", "landing", "active")),)

    def search(self, text: str) -> ColumnElement[bool]:
        return or_(
            Ad.code.contains(text.lower(), autoescape=True),
            Ad.name.icontains(text, autoescape=True),
        )

    def gather(self, rows: Sequence[Ad]) -> Mapping[Any, Mapping[str, Any]]:
        each = (
            select(ClientEvent.ad_code, ClientEvent.visitor_id, func.count().label("views"))
            .where(
                ClientEvent.kind == "page_view",
                ClientEvent.at >= clock.now() - timedelta(days=DAYS),
                ClientEvent.ad_code.in_([row.code for row in rows]),
            )
            .group_by(ClientEvent.ad_code, ClientEvent.visitor_id)
            .subquery()
        )
        counted = db.session.execute(
            select(each.c.ad_code, func.count(), func.sum(each.c.views)).group_by(each.c.ad_code)
        )
        found = {code: (visitors, int(views)) for code, visitors, views in counted}
        shown = {row.id: found.get(row.code, (0, 0)) for row in rows}
        return {
            key: {"visitors": visitors, "views": views} for key, (visitors, views) in shown.items()
        }

    def title_of(self, row: Ad) -> str:
        return row.name

    def detail(self, row: Ad) -> dict[str, Any]:
        return {"gathered": self.gather([row])[row.id]}

    def get_create_form(self) -> type[Form]:
        return NewAdForm

    def edit_form(self, obj: Ad) -> Form:
        return AdForm(request.form or None, obj=obj)

    def save(self, form: Any, row: Ad | None) -> Ad:
        details = ads.AdDetails(form.name.data, form.landing.data, form.active.data)
        if row is None:
            return ads.create_ad(form.code.data, details, actor())
        return ads.edit_ad(row.id, details, actor())
