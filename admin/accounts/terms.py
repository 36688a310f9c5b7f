"""The room of terms of use: drafted, read as people will read them, published for good."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from sqlalchemy import func, select
from wtforms import Form, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from admin.base import Column, Room, action
from admin.fields import one_line
from webapp.accounts.models import TermsAgreement, TermsOfUse
from webapp.accounts.permissions import Permission
from webapp.accounts.services import terms
from webapp.accounts.views.guard import actor
from webapp.core.db import db
from webapp.storefront.richtext import clean_html

PUBLISH = "From then on nobody can change it, and everybody is asked to agree. Publish it?"


class TermsForm(Form):
    title = StringField(
        "Title",
        [InputRequired("Type a title."), Length(max=160), one_line],
        default="Terms of use",
    )
    summary = TextAreaField(
        "What is new",
        [Length(max=2000)],
        description="Shown to everybody who is asked to agree.",
        render_kw={"rows": 3},
    )
    body = TextAreaField(
        "Text",
        [InputRequired("Terms need a text."), Length(max=200_000)],
        description="HTML: paragraphs, headings, lists and links.",
        render_kw={"rows": 24},
    )


class NewTermsForm(TermsForm):
    version = StringField(
        "Version",
        [InputRequired("Name the version."), Length(max=terms.MAX_VERSION), one_line],
        description="Like 2026-11 or 3. It becomes part of an address.",
    )


class Terms(Room):
    """Versions of what people agree to."""

    noun = "version"
    may_create = Permission.TERMS_EDIT
    may_edit = Permission.TERMS_EDIT
    added = changed = None  # the service records it
    intro = "The newest published version is in force. A published one never changes."
    columns = (
        Column("version", "Version"),
        Column("state", "State", "pill"),
        Column("title", "Title"),
        Column("agreed", "Agreed", "number"),
        Column("published_at", "Published", "moment"),
        Column("created_at", "Written", "moment"),
    )
    facts = (
        Column("version", "Version"),
        Column("state", "State", "pill"),
        Column("agreed", "Agreed", "number"),
        Column("published_at", "Published", "moment"),
        Column("created_at", "Written", "moment"),
    )
    sections = (("The version", ("version", "title", "summary", "body")),)
    details_template = "admin/accounts/terms.html"

    @property
    def thing(self) -> str:
        return "terms"

    def gather(self, rows: Sequence[TermsOfUse]) -> Mapping[Any, Mapping[str, Any]]:
        counted = db.session.execute(
            select(TermsAgreement.terms_id, func.count())
            .where(TermsAgreement.terms_id.in_([row.id for row in rows]))
            .group_by(TermsAgreement.terms_id)
        )
        agreed: dict[int, int] = {row[0]: row[1] for row in counted}
        newest = terms.current_terms()
        return {
            row.id: {"agreed": agreed.get(row.id, 0), "state": _state(row, newest)} for row in rows
        }

    def title_of(self, row: TermsOfUse) -> str:
        return f"{row.title} {row.version}"

    def is_editable(self, row: TermsOfUse) -> bool:
        return row.published_at is None

    def detail(self, row: TermsOfUse) -> dict[str, Any]:
        return {"gathered": self.gather([row])[row.id], "body": clean_html(row.body)}

    def get_create_form(self) -> type[Form]:
        return NewTermsForm

    def edit_form(self, obj: TermsOfUse) -> Form:
        return TermsForm(request.form or None, obj=obj)

    def save(self, form: Any, row: TermsOfUse | None) -> TermsOfUse:
        words = (form.title.data, form.body.data, form.summary.data or "")
        if row is None:
            return terms.draft(form.version.data, *words, actor())
        return terms.revise(row.id, *words, actor())

    @action(
        "Publish",
        permission=Permission.TERMS_EDIT,
        verb=None,
        tone="primary",
        confirm=PUBLISH,
        grave=True,
        when=lambda row: row.published_at is None,
    )
    def publish(self, row: TermsOfUse) -> str:
        terms.publish(row.id, actor())
        return f"Version {row.version} is in force. Everybody is asked to agree to it."

    @action(
        "Discard",
        permission=Permission.TERMS_EDIT,
        verb=None,
        tone="danger",
        confirm="Throw this draft away?",
        gone=True,
        when=lambda row: row.published_at is None,
    )
    def discard(self, row: TermsOfUse) -> str:
        version = row.version
        terms.discard(row.id, actor())
        return f"The draft {version} is thrown away."


def _state(row: TermsOfUse, newest: TermsOfUse | None) -> str:
    if row.published_at is None:
        return "draft"
    return "in_force" if newest is not None and newest.id == row.id else "superseded"
