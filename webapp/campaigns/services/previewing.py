"""A mail as one of its readers will see it, before anybody gets it: nothing in it is counted."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select

from webapp.campaigns import marks
from webapp.campaigns.errors import NoSuchEmail, NoSuchPerson
from webapp.campaigns.marks import Mark
from webapp.campaigns.models import Email, EmailState, EmailType, EmailVariant
from webapp.campaigns.services.audiences.people import everyone
from webapp.campaigns.services.compiling import compile_variant, constants, fill, fill_line
from webapp.campaigns.services.emails import get_email
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.core.state import current_config
from webapp.messaging.services.addresses import folded
from webapp.messaging.services.composing import Words

Values = Mapping[str, str]
MADE_UP = {
    "name": "Alex Morgan",
    "first_name": "Alex",
    "last_name": "Morgan",
    "email": "alex.morgan@example.com",
}


@dataclass(frozen=True, slots=True)
class Frozen:
    """The words of one variant with their marks, and where its registered links lead."""

    subject: str
    text: str
    html: str
    urls: Mapping[int, str]


def preview(email_id: int, number: int, address: str | None = None) -> Words:
    """Return a variant as the member or prospect with ``address`` would read it, or somebody.

    Links lead where they lead, without being counted, and there is no pixel.
    Raises NoSuchEmail, NoSuchPerson or UnreadableBody.
    """
    email = get_email(email_id)
    return write_for(words_of(email, number), values_of(address))


def words_of(email: Email, number: int) -> Frozen:
    """Return what is frozen of a variant, or what would be of a draft's."""
    variant = _find_variant(email, number)
    if email.state is not EmailState.DRAFT and variant.html:
        urls = {link.number: link.url for link in email.links}
        return Frozen(variant.subject, variant.text, variant.html, urls)
    made = compile_variant(email, variant)
    urls = {link.number: link.url for link in made.links}
    return Frozen(variant.subject, made.text, made.html, urls)


def write_for(words: Frozen, values: Values) -> Words:
    """Return the words with plain links and one person's values."""
    show = partial(_show, words.urls, values)
    return Words(
        subject=fill_line(words.subject, show),
        text=fill(words.text, show),
        html=fill(words.html, _escaped(show)),
    )


def values_of(address: str | None) -> dict[str, str]:
    """Return the variables of a member or prospect, or made-up ones. Raises NoSuchPerson."""
    if address is None or not address.strip():
        return constants() | MADE_UP | {"country": get_shop().country}
    return constants() | _values_of(address)


def find_values(address: str) -> dict[str, str]:
    """Return the variables of whoever has the address; made-up ones if nobody we know has."""
    try:
        return values_of(address)
    except NoSuchPerson:
        return values_of(None)


def _values_of(address: str) -> dict[str, str]:
    person = everyone(EmailType.BOTH)
    row = db.session.execute(select(person).where(person.c.address == folded(address))).first()
    if row is None:
        raise NoSuchPerson
    name = row.name.strip()
    first, _, last = name.partition(" ")
    attributes: Mapping[str, Any] = row.attributes
    known = {
        "name": name,
        "first_name": first,
        "last_name": last.strip(),
        "email": row.address,
        "country": row.country,
    }
    imported = {key: str(value) for key, value in attributes.items() if value is not None}
    return imported | known


def _show(urls: Mapping[int, str], values: Values, mark: Mark) -> str:
    base = current_config().base_url.rstrip("/")
    if mark.name == marks.CLICK:
        return urls.get(mark.number, f"{base}/")
    if mark.name == marks.LEAVE:
        return f"{base}/newsletter"
    if mark.name == marks.BROWSER:
        return f"{base}/"
    if mark.name == marks.PIXEL:
        return ""
    return values.get(mark.name) or mark.fallback or ""


def _escaped(show: Callable[[Mark], str]) -> Callable[[Mark], str]:
    return lambda mark: html.escape(show(mark))


def _find_variant(email: Email, number: int) -> EmailVariant:
    for variant in email.variants:
        if variant.number == number:
            return variant
    raise NoSuchEmail
