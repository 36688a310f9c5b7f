"""The room of emails to many: what is being written, what is on its way, and what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import joinedload, load_only, selectinload
from wtforms import Form

from admin.base import Column, Filter, Money
from admin.campaigns.desk import EVERYBODY
from admin.campaigns.drafts import NewEmailForm
from admin.campaigns.editor import EDIT, EditorPages
from admin.campaigns.outcomes import Outcome, outcomes_of
from admin.campaigns.progress import GONE_OUT
from webapp.accounts.views.guard import actor
from webapp.campaigns.models import (
    Audience,
    Email,
    EmailState,
    EmailType,
    EmailVariant,
    SequenceStep,
)
from webapp.campaigns.models import Sequence as MailSequence
from webapp.campaigns.services import emails
from webapp.campaigns.services.emails import EmailDetails, VariantDetails
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.messaging.models import MailTopic

UNDER_WAY = (EmailState.READY, EmailState.SCHEDULED, EmailState.SENDING, EmailState.PAUSED)


def _narrow(value: str) -> ColumnElement[bool]:
    if value == "under_way":
        return Email.state.in_(UNDER_WAY)
    return Email.state == EmailState(value)


class Emails(EditorPages):
    """Mails to many, from draft to sent."""

    noun = "email"
    empty = "No mail yet. Add one: nothing goes out before you say so."
    may_create = EDIT
    may_edit = EDIT
    added = changed = None  # the service records it
    search_hint = "Name or subject"
    columns = (
        Column("name", "Name", sort=Email.name),
        Column("state", "State", "pill", sort=Email.state),
        Column("audience", "Audience"),
        Column("recipients", "Recipients", "number"),
        Column("sent", "Sent", "number"),
        Column("opened", "Opened", "number"),
        Column("clicked", "Clicked", "number"),
        Column("revenue", "Revenue", "money"),
        Column("updated_at", "Changed", "moment", sort=Email.updated_at),
    )
    filters = (
        Filter(
            "state",
            "State",
            [
                ("under_way", "Under way"),
                *((state.value, state.value.capitalize()) for state in EmailState),
            ],
            _narrow,
        ),
    )
    sections = (("The email", ("name", "subject", "type", "topic")),)
    details_template = "admin/campaigns/email.html"

    def statement(self) -> Select[Any]:
        shown = (
            Email.id,
            Email.name,
            Email.state,
            Email.population,
            Email.populated_at,
            Email.started_at,
            Email.finished_at,
            Email.updated_at,
        )
        return select(Email).options(
            load_only(*shown, raiseload=True),
            joinedload(Email.audience).load_only(Audience.name, raiseload=True),
        )

    def search(self, text: str) -> ColumnElement[bool]:
        says = EmailVariant.subject.icontains(text, autoescape=True)
        return or_(Email.name.icontains(text, autoescape=True), Email.variants.any(says))

    def gather(self, rows: Sequence[Email]) -> Mapping[Any, Mapping[str, Any]]:
        out = outcomes_of([row for row in rows if row.state in GONE_OUT])
        whose = _sequences([row.id for row in rows])
        currency = get_shop().currency
        return {
            row.id: {
                "audience": whose.get(row.id) or _audience(row),
                "recipients": row.population if row.populated_at else None,
                **_came_of(out.get(row.id), currency),
            }
            for row in rows
        }

    def load(self, key: Any) -> Email | None:
        return db.session.scalar(
            select(Email)
            .where(Email.id == key)
            .options(
                selectinload(Email.variants),
                # Not joined: services lock the mail, and a side that may be empty can't be locked.
                selectinload(Email.audience),
                selectinload(Email.exclude),
                selectinload(Email.sender),
            )
            .execution_options(populate_existing=True)
        )

    def title_of(self, row: Email) -> str:
        return row.name

    def create_form(self, obj: Any = None) -> Form:
        return NewEmailForm(request.form or None, obj=obj)

    def save(self, form: Any, _row: Email | None) -> Email:
        """Make the draft; what is there already is written on its own page."""
        details = EmailDetails(
            name=form.name.data,
            variants=(VariantDetails(subject=form.subject.data or ""),),
            type=EmailType(form.type.data),
            topic=MailTopic(form.topic.data),
        )
        return emails.create_email(details, actor())


def _audience(row: Email) -> str:
    return row.audience.name if row.audience else EVERYBODY


def _sequences(ids: Sequence[int]) -> dict[int, str]:
    """Return the sequence that each mail is a step of, if it is one."""
    rows = db.session.execute(
        select(SequenceStep.email_id, MailSequence.name)
        .join(MailSequence, MailSequence.id == SequenceStep.sequence_id)
        .where(SequenceStep.email_id.in_(ids))
    )
    return {email_id: f"Sequence: {name}" for email_id, name in rows}


def _came_of(outcome: Outcome | None, currency: str) -> dict[str, Any]:
    if outcome is None:
        return dict.fromkeys(("sent", "opened", "clicked", "revenue"))
    return {
        "sent": outcome.sent,
        "opened": outcome.opened,
        "clicked": outcome.clicked,
        "revenue": Money(outcome.revenue, currency) if outcome.revenue else None,
    }
