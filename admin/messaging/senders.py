"""The room of senders: who campaigns come from, and how fast mail servers are written to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import flash, redirect, request
from sqlalchemy import ColumnElement, or_, select
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    Form,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.base import Column, Room, action, page
from admin.fields import one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.fields import WholeField
from webapp.core.state import current_config
from webapp.messaging.models import MailDomainLimit, MailSender, MailSenderDay
from webapp.messaging.services import limits, senders

DOMAINS_SHOWN = 200
NO_LIMIT = "No limit"


class PlanField(TextAreaField):
    """Mails a day, the first day's first, typed with commas or on lines of their own."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return ", ".join(str(mails) for mails in self.data or [])

    def process_formdata(self, valuelist: list[str]) -> None:
        words = re.split(r"[,;\s]+", valuelist[0]) if valuelist else []
        typed = [word for word in words if word]
        wrong = [word for word in typed if not re.fullmatch(r"[0-9]{1,9}", word)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no number of mails; write them like 50, 100, 200.")
        self.data = [int(word) for word in typed]


def _rate(label: str, description: str) -> WholeField:
    return WholeField(
        label, [Optional(), NumberRange(1, senders.MAX_RATE)], description=description
    )


class SenderForm(Form):
    name = StringField(
        "Name",
        [InputRequired("Give it a name."), Length(max=senders.MAX_NAME), one_line],
        description="What stands in front of the address in people's mailboxes.",
    )
    address = EmailField("Address", [InputRequired("Type the address."), Length(max=254), one_line])
    reply_to = EmailField(
        "Answers go to",
        [Optional(), Length(max=254), one_line],
        description="Empty: to the address itself.",
    )
    active = BooleanField("Active", default=True)
    per_second = _rate("Mails a second", "Empty: as fast as the mail server takes them.")
    domain_per_second = _rate(
        "Mails a second to one domain", "For domains of recipients without a limit of their own."
    )
    per_day = _rate("Mails a day", "Days end at midnight, UTC.")
    warmup_from = DateField("Warm-up begins on", [Optional()])
    warmup = PlanField(
        "Mails on each day of it",
        [Optional()],
        description=(
            "The first day first, like 50, 100, 200, 400. A new address that writes to many at once"
            " is taken for a spammer; one that begins slowly is not."
        ),
        render_kw={"rows": 3},
    )


@dataclass(frozen=True, slots=True)
class WarmupDay:
    on: date
    mails: int
    is_today: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """One thing outside the database that mails depend on, as this process has it."""

    title: str
    is_on: bool
    sentence: str


def setups() -> list[Setup]:
    """Return how campaigns leave and come back; no secret is told."""
    config = current_config()
    domain, selector = config.dkim_domain, config.dkim_selector
    signed = bool(config.dkim_private_key and domain and selector)
    by_web = [
        name
        for name, is_on in (
            ("Amazon SES", config.ses_topic_arn),
            ("SendGrid", config.sendgrid_public_key),
        )
        if is_on
    ]
    return [
        Setup(
            "Signed with DKIM",
            signed,
            f"As {domain}; its key is published at {selector}._domainkey.{domain}."
            if signed
            else "Off. Set DKIM_DOMAIN, DKIM_SELECTOR and DKIM_PRIVATE_KEY: large mailbox"
            " providers refuse bulk mail without a signature.",
        ),
        Setup(
            "Bounces come back to",
            bool(config.bounce_address),
            f"{config.bounce_address}, each with its mail's code."
            if config.bounce_address
            else "Nowhere. Set BOUNCE_ADDRESS, or dead addresses are written to for ever.",
        ),
        Setup(
            "Reported by a provider",
            bool(by_web),
            f"By {' and '.join(by_web)}."
            if by_web
            else "No provider reports bounces over the web.",
        ),
        Setup(
            "A mail server of their own",
            bool(config.bulk_smtp_url),
            "Campaigns go to BULK_SMTP_URL."
            if config.bulk_smtp_url
            else "Campaigns go where all other mails go.",
        ),
    ]


def _limit(value: int | None) -> str:
    return NO_LIMIT if value is None else f"{value:,}"


class Senders(Room):
    """Addresses of the shop that campaigns come from."""

    noun = "sender"
    empty = "None yet: mails come from the shop itself."
    may_create = Permission.SETTINGS_EDIT
    may_edit = Permission.SETTINGS_EDIT
    added = changed = None  # the service records it
    form = SenderForm
    intro = "A mail that names no sender comes from the default one, else from the shop itself."
    columns = (
        Column("name", "Name", sort=MailSender.name),
        Column("address", "Address", sort=MailSender.address),
        Column("is_default", "Default", "flag"),
        Column("active", "Active", "flag"),
        Column("per_second", "A second", "number", lambda row: _limit(row.per_second)),
        Column("today", "Limit today", "number"),
        Column("left", "Left today", "number"),
    )
    facts = (
        Column("address", "Address"),
        Column("reply_to", "Answers go to"),
        Column("is_default", "Default", "flag"),
        Column("active", "Active", "flag"),
        Column("per_second", "Mails a second", "number", lambda row: _limit(row.per_second)),
        Column(
            "domain_per_second",
            "A second to one domain",
            "number",
            lambda row: _limit(row.domain_per_second),
        ),
        Column("per_day", "Mails a day", "number", lambda row: _limit(row.per_day)),
        Column("today", "Today's limit", "number"),
        Column("taken", "Taken today", "number"),
        Column("left", "Left today", "number"),
    )
    sections = (
        ("Who it is", ("name", "address", "reply_to", "active")),
        ("How fast", ("per_second", "domain_per_second", "per_day")),
        ("Warm-up", ("warmup_from", "warmup")),
    )
    newest_first = False
    list_template = "admin/messaging/senders.html"
    details_template = "admin/messaging/sender.html"

    def search(self, text: str) -> ColumnElement[bool]:
        return or_(
            MailSender.address.icontains(text, autoescape=True),
            MailSender.name.icontains(text, autoescape=True),
        )

    def gather(self, rows: Sequence[MailSender]) -> Mapping[Any, Mapping[str, Any]]:
        today = clock.now().date()
        ids = [row.id for row in rows]
        of_today = select(MailSenderDay.sender_id, MailSenderDay.taken).where(
            MailSenderDay.day == today, MailSenderDay.sender_id.in_(ids)
        )
        taken: dict[int, int] = dict(db.session.execute(of_today).all())
        found = {}
        for row in rows:
            limit, gone = senders.day_limit(row, today), taken.get(row.id, 0)
            left = NO_LIMIT if limit is None else f"{max(0, limit - gone):,}"
            found[row.id] = {"today": _limit(limit), "taken": f"{gone:,}", "left": left}
        return found

    def render(self, template: str, **kwargs: Any) -> str:
        if template == self.list_template:
            found = select(MailDomainLimit).order_by(MailDomainLimit.domain).limit(DOMAINS_SHOWN)
            kwargs["domain_limits"] = db.session.scalars(found).all()
            kwargs["held_back"] = limits.held_back()
            kwargs["setups"] = setups()
        html: str = super().render(template, **kwargs)
        return html

    def title_of(self, row: MailSender) -> str:
        return row.name

    def detail(self, row: MailSender) -> dict[str, Any]:
        return {"gathered": self.gather([row])[row.id], "plan": plan_of(row)}

    def edit_form(self, obj: MailSender) -> Form:
        return SenderForm(request.form or None, obj=obj)

    def save(self, form: Any, row: MailSender | None) -> MailSender:
        details = senders.SenderDetails(
            name=form.name.data,
            address=form.address.data,
            reply_to=form.reply_to.data or "",
            active=form.active.data,
            per_second=form.per_second.data,
            per_day=form.per_day.data,
            domain_per_second=form.domain_per_second.data,
            warmup_from=form.warmup_from.data,
            warmup=form.warmup.data or (),
        )
        if row is None:
            return senders.create_sender(details, actor())
        return senders.edit_sender(row.id, details, actor())

    @action(
        "Make default",
        permission=Permission.SETTINGS_EDIT,
        verb=None,
        when=lambda row: row.active and not row.is_default,
    )
    def make_default(self, row: MailSender) -> str:
        senders.make_default(row.id, actor())
        return f"Mails that name no sender now come from {row.name}."

    @page("/domain-limit/", read=Permission.SETTINGS_EDIT, write=Permission.SETTINGS_EDIT)
    def domain_limit(self) -> Any:
        """Set, change or, without a figure, lift the limit of one domain of recipients."""
        if request.method == "POST":
            with self.refusing() as refusal:
                domain = request.form.get("domain", "")[:255]
                limit = limits.set_domain_limit(domain, _typed_rate(), actor())
                db.session.commit()
                told = "has no limit any more" if limit is None else "has its limit"
                flash(f"{domain.strip()} {told}.", "success")
            if refusal.sentence:
                flash(refusal.sentence, "error")
        return redirect(f"{self.get_url('.index_view')}#domains", 303)


def _typed_rate() -> int | None:
    text = request.form.get("per_second", "").strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise DomainError("Type how many mails a second the domain takes, like 20.")
    return int(text)


def plan_of(row: MailSender) -> list[WarmupDay]:
    """Return the days of a sender's warm-up; none where it has no plan."""
    if row.warmup_from is None:
        return []
    today = clock.now().date()
    days = [row.warmup_from + timedelta(days=number) for number in range(len(row.warmup))]
    return [
        WarmupDay(day, mails, day == today) for day, mails in zip(days, row.warmup, strict=True)
    ]
