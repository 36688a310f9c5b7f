"""The room of prospects: people with an address and no account, and what they did so far."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request, url_for
from sqlalchemy import ColumnElement, select, union

from admin.accounts import dossier
from admin.accounts.notes import keep_note
from admin.base import Column, Filter, Link, Room, action
from webapp.accounts.models import ContactMessage, Prospect, ProspectSource
from webapp.accounts.permissions import Permission
from webapp.core.db import db
from webapp.orders.models import Order


class Prospects(Room):
    """Guests who bought, readers of the newsletter, people who wrote."""

    noun = "prospect"
    may_see = Permission.MEMBERS_VIEW
    intro = "People known by their address. One who registers stays here, converted."
    search_hint = "Email, name or number"
    columns = (
        Column("email", "Email", sort=Prospect.email),
        Column("name", "Name", sort=Prospect.name),
        Column("source", "Came by", "text", lambda row: row.source.value.capitalize()),
        Column("converted", "Member", "flag", lambda row: row.member_id is not None),
        Column("orders", "Orders", "number"),
        Column("spent", "Spent", "money"),
        Column("created_at", "Met", "moment", sort=Prospect.id),
    )
    facts = (
        Column("email", "Email"),
        Column("name", "Name"),
        Column("source", "Came by", "text", lambda row: row.source.value.capitalize()),
        Column("created_at", "Met", "moment"),
        Column("converted_at", "Became a member", "moment"),
        Column("erased_at", "Erased", "moment"),
    )
    filters = (
        Filter(
            "source",
            "Came by",
            [(source.value, source.value.capitalize()) for source in ProspectSource],
            lambda value: Prospect.source == ProspectSource(value),
        ),
        Filter(
            "converted",
            "Member",
            [("yes", "Became a member"), ("no", "Not yet")],
            lambda value: (
                Prospect.member_id.is_not(None) if value == "yes" else Prospect.member_id.is_(None)
            ),
        ),
    )
    details_template = "admin/accounts/prospect.html"

    def search(self, text: str) -> ColumnElement[bool]:
        text = text.lower()
        if "@" in text and "." in text.rpartition("@")[2]:
            return Prospect.email == text
        found = [
            select(Prospect.id).where(Prospect.email.contains(text, autoescape=True)),
            select(Prospect.id).where(Prospect.name.icontains(text, autoescape=True)),
        ]
        if text.isascii() and text.isdigit() and len(text) < 19:
            found.append(select(Prospect.id).where(Prospect.id == int(text)))
        return Prospect.id.in_(union(*found))

    def gather(self, rows: Sequence[Prospect]) -> Mapping[Any, Mapping[str, Any]]:
        return dossier.gather_sales(Order.prospect_id, rows)

    def title_of(self, row: Prospect) -> str:
        return row.name or row.email

    def links(self) -> list[Link]:
        may_import = self.allows(Permission.CAMPAIGNS_EDIT)
        return [Link("Import", url_for("admin_imports.index"))] if may_import else []

    def detail(self, row: Prospect) -> dict[str, Any]:
        written = select(ContactMessage).where(ContactMessage.prospect_id == row.id)
        return {
            "sales": dossier.sales_of(Order.prospect_id, [row.id])[row.id],
            "orders": dossier.orders_of(Order.prospect_id, row.id),
            "mails": dossier.mails_of(None, row.email),
            "consents": dossier.consents_of(row.email),
            "notes": dossier.notes_about(prospect_id=row.id),
            "messages": db.session.scalars(
                written.order_by(ContactMessage.id.desc()).limit(dossier.SHOWN)
            ).all(),
        }

    @action("Add a note", permission=Permission.MEMBERS_NOTE, verb="noted", button=False)
    def add_note(self, row: Prospect) -> str:
        keep_note(request.form.get("text", ""), prospect_id=row.id)
        return "The note is kept."
