"""What the pages of members, prospects and staff tell about one person, part by part."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, union
from sqlalchemy.orm import InstrumentedAttribute, joinedload, load_only

from admin.base import Link, Money
from admin.subjects import person_link
from webapp.accounts.models import (
    DataExport,
    EmailChange,
    Erasure,
    PersonNote,
    TermsAgreement,
    TermsOfUse,
)
from webapp.accounts.queries.naming import Person, name_people
from webapp.core.audit_reading import list_done_to, words
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.core.shop import get_shop
from webapp.messaging.models import Mail, MailConsent
from webapp.orders.models import Order, OrderPayment

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Sales:
    """How often somebody bought, and what stayed with the shop of it, in its currency."""

    orders: int
    spent: Money | None


@dataclass(frozen=True, slots=True)
class Deed:
    """An entry of the audit as a line of a person's page: what was done, and by whom."""

    entry: AuditEntry
    title: str
    by: Link


def sales_of(
    column: InstrumentedAttribute[int | None], ids: Collection[int]
) -> Mapping[int, Sales]:
    """Return the sales of each member or prospect by ``column`` of orders; nobody is left out."""
    currency = get_shop().currency
    kept = Order.total_amount - func.coalesce(OrderPayment.amount_refunded, 0)
    rows = db.session.execute(
        select(column, func.count(), func.sum(kept).filter(Order.currency == currency))
        .outerjoin(OrderPayment, OrderPayment.order_id == Order.id)
        .where(column.in_(ids))
        .group_by(column)
    )
    found = {row[0]: Sales(row[1], Money(int(row[2] or 0), currency)) for row in rows}
    return {key: found.get(key, Sales(0, None)) for key in ids}


def gather_sales(
    column: InstrumentedAttribute[int | None], rows: Sequence[Any]
) -> Mapping[Any, Mapping[str, Any]]:
    """Return what a list of people shows of their sales."""
    found = sales_of(column, [row.id for row in rows])
    return {key: {"orders": each.orders, "spent": each.spent} for key, each in found.items()}


def orders_of(column: InstrumentedAttribute[int | None], key: int) -> Sequence[Order]:
    return db.session.scalars(
        select(Order).where(column == key).order_by(Order.id.desc()).limit(SHOWN)
    ).all()


def mails_of(user_id: uuid.UUID | None, email: str | None) -> Sequence[Mail]:
    """Return the newest mails about a login and to an address that is surely theirs; no bodies."""
    found = []
    if user_id is not None:
        found.append(select(Mail.id).where(Mail.subject_ref == f"user:{user_id}"))
    if email is not None:
        found.append(select(Mail.id).where(Mail.recipient == email))
    shown = (Mail.id, Mail.subject, Mail.state, Mail.kind, Mail.created_at)
    return db.session.scalars(
        select(Mail)
        .where(Mail.id.in_(union(*found)))
        .options(load_only(*shown, raiseload=True))
        .order_by(Mail.id.desc())
        .limit(SHOWN)
    ).all()


def consents_of(email: str) -> Sequence[MailConsent]:
    """Return each yes and no of an address, the newest first: all of them are proof."""
    rows = select(MailConsent).where(MailConsent.email == email)
    return db.session.scalars(rows.order_by(MailConsent.id.desc()).limit(SHOWN)).all()


def notes_about(*, member_id: int | None = None, prospect_id: int | None = None) -> Sequence[Any]:
    whose = []
    if member_id is not None:
        whose.append(PersonNote.member_id == member_id)
    if prospect_id is not None:
        whose.append(PersonNote.prospect_id == prospect_id)
    return db.session.scalars(
        select(PersonNote)
        .where(or_(*whose))
        .options(joinedload(PersonNote.author))
        .order_by(PersonNote.id.desc())
        .limit(100)
    ).all()


def agreements_of(user_id: uuid.UUID) -> Sequence[Any]:
    """Return (version, when) of each version of the terms somebody agreed to, the newest first."""
    return db.session.execute(
        select(TermsOfUse.id, TermsOfUse.version, TermsAgreement.agreed_at)
        .join(TermsOfUse, TermsOfUse.id == TermsAgreement.terms_id)
        .where(TermsAgreement.user_id == user_id)
        .order_by(TermsAgreement.id.desc())
        .limit(SHOWN)
    ).all()


def exports_of(user_id: uuid.UUID) -> Sequence[DataExport]:
    rows = select(DataExport).where(DataExport.user_id == user_id)
    return db.session.scalars(rows.order_by(DataExport.created_at.desc()).limit(SHOWN)).all()


def email_changes_of(user_id: uuid.UUID) -> Sequence[EmailChange]:
    rows = select(EmailChange).where(EmailChange.user_id == user_id)
    return db.session.scalars(rows.order_by(EmailChange.id.desc()).limit(SHOWN)).all()


def erasure_of(user_id: uuid.UUID) -> Erasure | None:
    return db.session.scalar(select(Erasure).where(Erasure.user_id == user_id))


def activity_of(user_id: uuid.UUID) -> list[Deed]:
    """Return what was done to a person's account lately, by themselves or by others."""
    entries = list_done_to(user_id, SHOWN)
    people = name_people(entry.actor_id for entry in entries)
    return [Deed(entry, words(entry.action), _doer(entry, people)) for entry in entries]


def _doer(entry: AuditEntry, people: Mapping[uuid.UUID, Person]) -> Link:
    if entry.actor_id is not None and entry.actor_id == entry.user_id:
        return Link("Themselves", None)
    found = person_link(entry.actor_id, people)
    return found or Link(entry.actor_kind.value.capitalize(), None)
