"""The room of mails: who was sent what, what the server said, and the button to send it again."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import defer

from admin.base import Column, Filter, Room, action
from admin.subjects import gather_links, subject_link
from webapp.accounts.permissions import Permission
from webapp.core.db import db
from webapp.messaging.models import Mail, MailState
from webapp.messaging.queries import list_bounces
from webapp.messaging.services import STUCK, send_again
from webapp.messaging.services.secrets import REMOVED

# Not STUCK: what was withheld, for its address is suppressed, waits for nobody.
TROUBLE = (MailState.FAILED, MailState.UNKNOWN)


def _about(mail: Mail) -> Any:
    return subject_link(mail.subject_ref)


def _came_back(mail: Mail) -> str | None:
    told = [
        " ".join(part for part in (bounce.kind.value, bounce.status, bounce.diagnostic) if part)
        for bounce in list_bounces(mail.code)
    ]
    return "; ".join(told) or None


class Mails(Room):
    """One row per mail to one person, whatever became of it."""

    noun = "mail"
    intro = (
        "Unknown means a worker was lost while handing the mail over: it may have arrived, so it is"
        " never sent again by itself."
    )
    search_hint = "Recipient, or subject like order:42"
    columns = (
        Column("subject", "Subject"),
        Column("state", "State", "pill", sort=Mail.state),
        Column("recipient", "To"),
        Column("subject_ref", "About", "link", _about),
        Column("attempts", "Tries", "number"),
        Column("created_at", "Written", "moment", sort=Mail.id),
        Column("sent_at", "Sent", "moment", sort=Mail.sent_at),
        Column("smtp_reply", "Server said", "short"),
    )
    facts = (
        Column("recipient", "To"),
        Column("sender", "From"),
        Column("reply_to", "Reply to"),
        Column("kind", "Kind", "code"),
        Column("subject_ref", "About", "link", _about),
        Column("attempts", "Tries", "number"),
        Column("created_at", "Written", "moment"),
        Column("claimed_at", "Taken by a worker", "moment"),
        Column("sent_at", "Sent", "moment"),
        Column("smtp_reply", "Server said", "code"),
        Column("code", "Came back", "code", _came_back),
        Column("dedupe_key", "Unique key", "code"),
    )
    filters = (
        Filter(
            "state",
            "State",
            [
                ("stuck", "Failed or unknown"),
                *((state.value, state.value.capitalize()) for state in MailState),
            ],
            lambda value: (
                Mail.state.in_(TROUBLE) if value == "stuck" else Mail.state == MailState(value)
            ),
        ),
    )
    details_template = "admin/messaging/mail.html"

    def statement(self) -> Select[Any]:
        return self._visible().options(
            defer(Mail.text, raiseload=True), defer(Mail.html, raiseload=True)
        )

    def _visible(self) -> Select[Any]:
        """Leave out mails about people's accounts for those who may not look at accounts."""
        if self.allows(Permission.MEMBERS_VIEW):
            return select(Mail)
        return select(Mail).where(Mail.subject_ref.startswith("order:"))

    def load(self, key: Any) -> Mail | None:
        one = self._visible().where(Mail.id == key)
        mail: Mail | None = db.session.scalar(one.execution_options(populate_existing=True))
        return mail

    def gather(self, rows: Sequence[Any]) -> Mapping[Any, Mapping[str, Any]]:
        return gather_links(rows, "subject_ref")

    def search(self, text: str) -> ColumnElement[bool]:
        if ":" in text:
            return Mail.subject_ref == text
        if "@" in text and "." in text.rpartition("@")[2]:
            return Mail.recipient == text.lower()
        return Mail.recipient.contains(text.lower(), autoescape=True)

    def title_of(self, row: Mail) -> str:
        return row.subject

    @action(
        "Send again",
        permission=Permission.MAILS_SEND,
        verb="resent",
        tone="primary",
        bulk=True,
        when=lambda mail: mail.state in STUCK and mail.text != REMOVED,
    )
    def send_again(self, row: Mail) -> str:
        send_again(row.id)
        return f"The mail to {row.recipient} is on its way again."
