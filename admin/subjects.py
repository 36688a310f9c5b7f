"""Where the subject of a job, a mail or a deed ("order:42") is found in the back office."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from flask import url_for
from flask_login import current_user
from sqlalchemy import select

from admin.base import Link
from webapp.accounts.permissions import Permission, allows
from webapp.accounts.queries.naming import Person, name_people
from webapp.core.db import db
from webapp.orders.models import Order

# Noun -> the room's endpoint and what it takes to enter it.
ROOMS = {
    "order": ("admin_orders", Permission.VIEW),
    "product": ("admin_products", Permission.VIEW),
    "discount_code": ("admin_discounts", Permission.VIEW),
    "shipping_method": ("admin_shipping", Permission.VIEW),
    "tax_rate": ("admin_tax", Permission.VIEW),
    "mail": ("admin_mails", Permission.VIEW),
    "job": ("admin_jobs", Permission.VIEW),
    "event": ("admin_events", Permission.VIEW),
    "ad": ("admin_ads", Permission.VIEW),
    "terms": ("admin_terms", Permission.VIEW),
    "email": ("admin_emails", Permission.VIEW),
    "audience": ("admin_audiences", Permission.VIEW),
    "sender": ("admin_senders", Permission.VIEW),
    "suppression": ("admin_suppressions", Permission.MEMBERS_VIEW),
    "member": ("admin_members", Permission.MEMBERS_VIEW),
    "prospect": ("admin_prospects", Permission.MEMBERS_VIEW),
    "contact": ("admin_contact", Permission.MEMBERS_VIEW),
    "plan": ("admin_plans", Permission.VIEW),
    "dunning_policy": ("admin_dunning-policy", Permission.VIEW),
    "difference": ("admin_differences", Permission.VIEW),
    "subscription": ("admin_subscriptions", Permission.MEMBERS_VIEW),
    "invoice": ("admin_invoices", Permission.MEMBERS_VIEW),
    "case": ("admin_cases", Permission.MEMBERS_VIEW),
    "billing_customer": ("admin_subscriptions", Permission.MEMBERS_VIEW),
}


def subject_links(subjects: Iterable[str | None]) -> dict[str, Link]:
    """Return a link for each subject that has a room, its bare text for others.

    People know an order by its number and each other by address: one statement for each kind.
    """
    wanted = {subject for subject in subjects if subject}
    split = [_split(subject) for subject in wanted]
    ids = [int(key) for noun, key in split if noun == "order" and key.isdigit()]
    numbers: dict[int, int] = {}
    if ids:
        rows = db.session.execute(select(Order.id, Order.number).where(Order.id.in_(ids)))
        numbers = {row.id: row.number for row in rows}
    people = name_people(_uuid(key) for noun, key in split if noun == "user")
    return {subject: _link(subject, numbers, people) for subject in wanted}


def subject_link(subject: str | None) -> Link | None:
    return subject_links([subject]).get(subject or "")


def gather_links(rows: Iterable[Any], column: str) -> Mapping[Any, Mapping[str, Any]]:
    """Return what ``Room.gather`` wants for a list that shows ``column`` as a link."""
    about = {row.id: getattr(row, column) for row in rows}
    links = subject_links(about.values())
    return {key: {column: links.get(subject or "")} for key, subject in about.items()}


def person_link(user_id: uuid.UUID | None, people: Mapping[uuid.UUID, Person]) -> Link | None:
    """Return a person's address with the way to their room; for those who may know it."""
    if user_id is None:
        return None
    person = people.get(user_id)
    if person is None or not _may(Permission.MEMBERS_VIEW):
        return Link(f"User\N{NO-BREAK SPACE}{str(user_id)[:8]}", None)
    if person.role is not None and _may(Permission.STAFF_VIEW):
        return Link(person.email, url_for("admin_staff.details_view", id=user_id))
    if person.member_id is not None:
        return Link(person.email, url_for("admin_members.details_view", id=person.member_id))
    return Link(person.email, None)


def _may(permission: Permission) -> bool:
    return bool(current_user.is_authenticated) and allows(current_user.role, permission)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _split(subject: str) -> tuple[str, str]:
    noun, _, key = subject.partition(":")
    return noun, key


def _link(subject: str, numbers: Mapping[int, int], people: Mapping[uuid.UUID, Person]) -> Link:
    noun, key = _split(subject)
    if noun == "user":
        return person_link(_uuid(key), people) or Link(subject, None)
    endpoint, needed = ROOMS.get(noun, (None, Permission.VIEW))
    is_key = key.isdigit() or noun == "event"
    url = url_for(f"{endpoint}.details_view", id=key) if endpoint and is_key else None
    if noun == "billing_customer":
        # They have no room of their own; what they subscribe to has.
        url = url_for(f"{endpoint}.index_view", search=subject)
    if noun == "order" and key.isdigit() and int(key) in numbers:
        key = f"#{numbers[int(key)]}"
    if _uuid(key) is not None:
        key = key[:8]
    text = f"{noun.replace('_', ' ').capitalize()}\N{NO-BREAK SPACE}{key}"
    return Link(text, url if _may(needed) else None)
