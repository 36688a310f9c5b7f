"""Mails as pages: the public archive, its feed, and one mail as one recipient got it."""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select

from webapp.campaigns import marks
from webapp.campaigns.codes import write_code
from webapp.campaigns.erased import is_erased
from webapp.campaigns.errors import NoSuchLeavingLink, NoSuchPage
from webapp.campaigns.marks import Mark
from webapp.campaigns.models import (
    Email,
    EmailLink,
    EmailRecipient,
    EmailState,
    EmailVariant,
    TrackingOptOut,
)
from webapp.campaigns.services.compiling import constants, fill, fill_line
from webapp.campaigns.services.settings import get_settings
from webapp.campaigns.services.unsubscribing import leaving_url, read_leaving_token
from webapp.core.db import db
from webapp.core.state import current_config

PAGE_SIZE = 20
FEED_SIZE = 20
SUMMARY = 280
# Readers' own words for themselves are nobody else's business: an archived mail greets anybody.
NO_FIELDS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Archived:
    """One public mail, as a list and a feed tell of it."""

    email_id: int
    slug: str
    title: str
    summary: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class ArchivePage:
    items: list[Archived]
    number: int
    pages: int
    total: int


def list_archived(number: int) -> ArchivePage:
    """Return page ``number`` (from 1) of the public mails, newest first. Raises NoSuchPage."""
    _refuse_if_closed()
    total = db.session.scalar(select(func.count()).select_from(Email).where(*_public())) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    if number > pages:
        raise NoSuchPage
    return ArchivePage(_read(PAGE_SIZE, (number - 1) * PAGE_SIZE), number, pages, total)


def list_newest() -> list[Archived]:
    """Return what the feed tells of. Raises NoSuchPage."""
    _refuse_if_closed()
    return _read(FEED_SIZE, 0)


def find_archived(slug: str) -> Archived:
    """Return one public mail. Raises NoSuchPage."""
    _refuse_if_closed()
    if "\0" in slug:
        # Postgres takes no such text, not even to look for it.
        raise NoSuchPage
    row = db.session.execute(_rows().where(*_public(), Email.slug == slug)).first()
    if row is None:
        raise NoSuchPage
    return _archived(row)


def archived_html(mail: Archived) -> str:
    """Return the mail's document as it was frozen, for anybody: plain links, no pixel."""
    base = current_config().base_url.rstrip("/")
    variant = db.session.scalars(
        select(EmailVariant)
        .join(Email, Email.id == EmailVariant.email_id)
        .where(Email.id == mail.email_id, EmailVariant.number == _shown())
    ).one()
    urls = {
        marks.LEAVE: f"{base}/newsletter",
        marks.BROWSER: f"{base}/archive/{mail.slug}",
    }
    links = _links(mail.email_id)
    return fill(variant.html, _for_html(NO_FIELDS, urls, lambda number: links.get(number, base)))


def browser_html(token: str) -> str:
    """Return the mail's document as one recipient got it. Raises NoSuchPage.

    ``token`` is the one to leave with. The code of the mail's other links doesn't do: they are
    passed on to friends, and this page knows the reader's name and lets them leave.
    """
    found = _recipient(token)
    code = write_code(found.email_id, found.id, found.secret)
    variant = db.session.get(EmailVariant, (found.email_id, found.variant))
    if variant is None or not variant.html:
        raise NoSuchPage
    base = current_config().base_url.rstrip("/")
    urls = {
        marks.LEAVE: leaving_url(token),
        marks.BROWSER: f"{base}/m/{token}",
    }
    return fill(variant.html, _for_html(found.fields, urls, _click(found, code, base)))


def _recipient(token: str) -> EmailRecipient:
    try:
        numbers = read_leaving_token(token)
    except NoSuchLeavingLink:
        raise NoSuchPage from None
    found = db.session.get(EmailRecipient, numbers)
    if found is None or is_erased(found.address):
        raise NoSuchPage
    return found


def _click(to: EmailRecipient, code: str, base: str) -> Callable[[int], str]:
    """Return where this recipient's links lead, as in the mail itself."""
    opted_out = select(TrackingOptOut.email).where(TrackingOptOut.email == to.address)
    if db.session.scalar(opted_out) is None:
        return lambda number: f"{base}/c/{code}/{number}"
    links = _links(to.email_id)
    return lambda number: links.get(number, base)


def _for_html(
    fields: Mapping[str, Any], urls: Mapping[str, str], click: Callable[[int], str]
) -> Callable[[Mark], str]:
    def value(mark: Mark) -> str:
        if mark.name == marks.PIXEL:
            return ""
        if mark.name == marks.CLICK:
            return html.escape(click(mark.number))
        return html.escape(urls.get(mark.name) or marks.plain_value(mark, fields))

    return value


def _links(email_id: int) -> dict[int, str]:
    rows = db.session.execute(
        select(EmailLink.number, EmailLink.url).where(EmailLink.email_id == email_id)
    )
    return {row.number: row.url for row in rows}


def _refuse_if_closed() -> None:
    if not get_settings().archive:
        raise NoSuchPage


def _public() -> list[ColumnElement[bool]]:
    return [Email.public.is_(True), Email.state == EmailState.SENT, Email.slug.is_not(None)]


def _shown() -> ColumnElement[int]:
    return func.coalesce(Email.ab_winner, 1)


def _rows() -> Any:
    sent_at = func.coalesce(Email.finished_at, Email.started_at, Email.created_at)
    return select(
        Email.id,
        Email.slug,
        EmailVariant.subject,
        EmailVariant.preheader,
        EmailVariant.text,
        sent_at.label("sent_at"),
    ).join(
        EmailVariant,
        (EmailVariant.email_id == Email.id) & (EmailVariant.number == _shown()),
    )


def _read(size: int, skip: int) -> list[Archived]:
    rows = _rows().where(*_public()).order_by(Email.finished_at.desc(), Email.id.desc())
    return [_archived(row) for row in db.session.execute(rows.limit(size).offset(skip))]


def _archived(row: Any) -> Archived:
    title = _for_anybody(row.subject) or row.slug
    summary = _for_anybody(row.preheader or _beginning(row.text))
    return Archived(
        row.id, row.slug, title, _shortened(summary.removeprefix(title).strip()), row.sent_at
    )


def _beginning(words: str) -> str:
    """Return a text part without its foot, and without where its links lead."""
    letter = words.partition("\n--")[0]
    return re.sub(r"<?\{\{@\w+(:\d+)?\}\}>?", "", letter)[: 4 * SUMMARY]


def _for_anybody(words: str) -> str:
    """Return words on one line, with what the shop says of itself and else with the fallbacks."""
    known = constants()
    return fill_line(
        words, lambda mark: "" if mark.name in marks.OURS else marks.plain_value(mark, known)
    )


def _shortened(words: str) -> str:
    if len(words) <= SUMMARY:
        return words
    return words[:SUMMARY].rsplit(" ", 1)[0] + "…"
