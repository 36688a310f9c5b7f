"""The rooms of what came back: bounces and complaints, and reports that nobody could read."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import url_for
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import defer
from werkzeug import Response

from admin.base import Action, Column, Filter, Link, Room, action
from webapp.accounts.permissions import Permission
from webapp.campaigns.codes import read_code
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.queue import ring
from webapp.messaging.models import (
    BounceKind,
    Mail,
    MailBounce,
    MailReport,
    ReportSource,
    ReportState,
)
from webapp.messaging.services.reports import READ

SHOWN = 40_000
KINDS = {
    BounceKind.HARD: "Hard: for good",
    BounceKind.SOFT: "Soft: for now",
    BounceKind.COMPLAINT: "Complaint: called spam",
}


def links_of(codes: Sequence[str | None]) -> dict[str, Link]:
    """Return the way to the mail that each code names; campaigns' codes say it themselves."""
    wanted = {code for code in codes if code}
    found: dict[str, Link] = {}
    for code in wanted:
        if (read := read_code(code)) is not None:
            key = f"{read.email_id}-{read.recipient_id}"
            url = url_for("admin_recipients.details_view", id=key)
            found[code] = Link("Campaign", url)
    rest = wanted - found.keys()
    if rest:
        for code, mail_id in db.session.execute(
            select(Mail.code, Mail.id).where(Mail.code.in_(rest))
        ):
            url = url_for("admin_mails.details_view", id=mail_id)
            found[code] = Link(f"Mail\N{NO-BREAK SPACE}{mail_id}", url)
    return found


class Bounces(Room):
    """Reports that a mail was not delivered, or not wanted."""

    noun = "bounce"
    empty = "Nothing came back yet."
    may_see = Permission.MEMBERS_VIEW
    intro = (
        "What other servers reported about our mails. A hard bounce or a complaint stops mails to"
        " that address at once, soft ones when they go on."
    )
    search_hint = "Email"
    columns = (
        Column("email", "Address"),
        Column("kind", "Kind", "pill"),
        Column("status", "Status", "code"),
        Column("diagnostic", "Server said", "short"),
        Column("mail", "About", "link"),
        Column("at", "Reported", "moment", sort=MailBounce.id),
    )
    facts = (
        Column("email", "Address"),
        Column("kind", "Kind", "text", lambda row: KINDS[row.kind]),
        Column("status", "Status (RFC 3463)", "code"),
        Column("diagnostic", "Server said", "code"),
        Column("mail", "About", "link"),
        Column("source", "Came by"),
        Column("at", "Reported", "moment"),
    )
    filters = (
        Filter(
            "kind",
            "Kind",
            [(kind.value, title) for kind, title in KINDS.items()],
            lambda value: MailBounce.kind == BounceKind(value),
        ),
    )

    def search(self, text: str) -> ColumnElement[bool]:
        text = text.lower()
        if "@" in text and "." in text.rpartition("@")[2]:
            return MailBounce.email == text
        return MailBounce.email.contains(text, autoescape=True)

    def gather(self, rows: Sequence[MailBounce]) -> Mapping[Any, Mapping[str, Any]]:
        links = links_of([row.code for row in rows])
        return {row.id: {"mail": links.get(row.code or "")} for row in rows}

    def detail(self, row: MailBounce) -> dict[str, Any]:
        return {"gathered": self.gather([row])[row.id]}

    def title_of(self, row: MailBounce) -> str:
        return f"{row.kind.value.capitalize()} from {row.email}"

    def links(self) -> list[Link]:
        return [Link("Reports as they came", self.get_url("admin_reports.index_view"))]


class BounceReports(Room):
    """Bounces and complaints as they came in, before anybody understood them."""

    noun = "bounce report"
    may_see = Permission.MEMBERS_VIEW
    intro = (
        "Each report as it came in. One that is unreadable says nothing that we know how to read:"
        " look at it, and suppress the address by hand where it asks for that."
    )
    columns = (
        Column("received_at", "Received", "moment", sort=MailReport.received_at),
        Column("state", "State", "pill"),
        Column("source", "Came by", "text", lambda row: _source(row.source)),
        Column("error", "What was wrong", "short"),
    )
    facts = (
        Column("received_at", "Received", "moment"),
        Column("source", "Came by", "text", lambda row: _source(row.source)),
        Column("error", "What was wrong"),
    )
    filters = (
        Filter(
            "state",
            "State",
            [(state.value, state.value.capitalize()) for state in ReportState],
            lambda value: MailReport.state == ReportState(value),
        ),
    )
    details_template = "admin/messaging/report.html"

    def statement(self) -> Select[Any]:
        return select(MailReport).options(defer(MailReport.content, raiseload=True))

    def title_of(self, row: MailReport) -> str:
        return f"Report {row.id}"

    def detail(self, row: MailReport) -> dict[str, Any]:
        text = row.content[:SHOWN].decode("utf-8", "replace").replace("\0", "�")
        return {"content": text, "cut": len(row.content) > SHOWN}

    @action(
        "Read again",
        permission=Permission.JOBS_RUN,
        verb="reread",
        tone="primary",
        bulk=True,
        when=lambda report: report.state is ReportState.UNREADABLE,
    )
    def read_again(self, row: MailReport) -> str:
        self._must_be_unreadable(row)
        row.state = ReportState.WAITING
        row.error = None
        return f"Report {row.id} is read again at once."

    @action(
        "Set aside",
        permission=Permission.SUPPRESSION_EDIT,
        verb="set_aside",
        bulk=True,
        when=lambda report: report.state is ReportState.UNREADABLE,
    )
    def set_aside(self, row: MailReport) -> str:
        self._must_be_unreadable(row)
        row.state = ReportState.DONE
        return f"Report {row.id} waits for nobody any more."

    def _must_be_unreadable(self, row: MailReport) -> None:
        """Two who press at once take turns, and the second is told."""
        db.session.refresh(row, with_for_update=True)
        if row.state is not ReportState.UNREADABLE:
            raise DomainError(f"Report {row.id} is not unreadable any more.")

    def carry_out(self, spec: Action, method: Any) -> Response:
        answer = super().carry_out(spec, method)
        # After the commits: whoever answers the bell must find the reports waiting.
        ring(READ)
        return answer


def _source(source: ReportSource) -> str:
    return {ReportSource.MAIL: "Mail", ReportSource.SES: "Amazon SES"}.get(source, "SendGrid")
