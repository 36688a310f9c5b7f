"""Where the subject of a job, an event or a mail ("order:42") is found in the back office."""

from collections.abc import Iterable, Mapping
from typing import Any

from flask import url_for
from sqlalchemy import select

from admin.base import Link
from webapp.core.db import db
from webapp.orders.models import Order

ROOMS = {"order": "admin_orders", "product": "admin_products", "mail": "admin_mails"}


def subject_links(subjects: Iterable[str | None]) -> dict[str, Link]:
    """Return a link for each subject that has a room, its bare text for others.

    People know an order by its number: one statement reads the numbers of all.
    """
    wanted = {subject for subject in subjects if subject}
    ids = [int(key) for noun, key in map(_split, wanted) if noun == "order" and key.isdigit()]
    numbers: dict[int, int] = {}
    if ids:
        rows = db.session.execute(select(Order.id, Order.number).where(Order.id.in_(ids)))
        numbers = {row.id: row.number for row in rows}
    return {subject: _link(subject, numbers) for subject in wanted}


def subject_link(subject: str | None) -> Link | None:
    return subject_links([subject]).get(subject or "")


def gather_links(rows: Iterable[Any], column: str) -> Mapping[Any, Mapping[str, Any]]:
    """Return what ``Room.gather`` wants for a list that shows ``column`` as a link."""
    about = {row.id: getattr(row, column) for row in rows}
    links = subject_links(about.values())
    return {key: {column: links.get(subject or "")} for key, subject in about.items()}


def _split(subject: str) -> tuple[str, str]:
    noun, _, key = subject.partition(":")
    return noun, key


def _link(subject: str, numbers: Mapping[int, int]) -> Link:
    noun, key = _split(subject)
    room = ROOMS.get(noun)
    url = url_for(f"{room}.details_view", id=key) if room and key.isdigit() else None
    if noun == "order" and key.isdigit() and int(key) in numbers:
        key = f"#{numbers[int(key)]}"
    return Link(f"{noun.capitalize()}\N{NO-BREAK SPACE}{key}", url)
