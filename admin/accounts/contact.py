"""The room of contact messages: what people wrote to the shop, answered or put away."""

from typing import Any

from flask import request
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import joinedload

from admin.base import Column, Filter, Room, action
from webapp.accounts.models import ContactMessage, ContactState
from webapp.accounts.permissions import Permission
from webapp.accounts.queries.naming import name_people
from webapp.accounts.services import contact
from webapp.accounts.views.guard import actor
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.messaging.queries import list_mails
from webapp.messaging.services import post

ANSWERABLE = (ContactState.NEW, ContactState.ANSWERED)
WAITING = (ContactState.NEW, ContactState.HELD)
LONGEST_REPLY = 10_000
REPLY = "contact_reply"


class ContactMessages(Room):
    """Messages from the contact form."""

    noun = "contact message"
    may_see = Permission.MEMBERS_VIEW
    intro = "Held messages look like spam: nobody was told of them until you look."
    search_hint = "Email, or words of the subject"
    columns = (
        Column("subject", "Subject", "text", lambda row: row.subject or "(no subject)"),
        Column("state", "State", "pill"),
        Column("name", "From"),
        Column("email", "Email"),
        Column("created_at", "Received", "moment", sort=ContactMessage.id),
        Column("handled_at", "Handled", "moment"),
    )
    filters = (
        Filter(
            "state",
            "State",
            [(state.value, state.value.capitalize()) for state in ContactState],
            lambda value: ContactMessage.state == ContactState(value),
        ),
    )
    details_template = "admin/accounts/contact.html"

    def search(self, text: str) -> ColumnElement[bool]:
        if "@" in text:
            return ContactMessage.email.contains(text.lower(), autoescape=True)
        return ContactMessage.subject.icontains(text, autoescape=True)

    def load(self, key: Any) -> ContactMessage | None:
        return db.session.scalar(
            select(ContactMessage)
            .where(ContactMessage.id == key)
            .options(joinedload(ContactMessage.prospect))
            .execution_options(populate_existing=True)
        )

    @property
    def thing(self) -> str:
        return "contact"

    def title_of(self, row: ContactMessage) -> str:
        return row.subject or "(no subject)"

    def detail(self, row: ContactMessage) -> dict[str, Any]:
        others = select(ContactMessage).where(
            ContactMessage.prospect_id == row.prospect_id, ContactMessage.id != row.id
        )
        replies = [mail for mail in list_mails(f"contact:{row.id}") if mail.kind == REPLY]
        handler = name_people([row.handled_by]).get(row.handled_by) if row.handled_by else None
        return {
            "others": db.session.scalars(others.order_by(ContactMessage.id.desc()).limit(20)).all(),
            "replies": replies,
            "handler": handler,
            "may_reply": self.allows(Permission.CONTACT_ANSWER) and row.state in ANSWERABLE,
        }

    @action(
        "Mark as answered",
        permission=Permission.CONTACT_ANSWER,
        verb=None,
        bulk=True,
        when=lambda row: row.state is ContactState.NEW,
    )
    def answered(self, row: ContactMessage) -> str:
        contact.mark_answered(row.id, actor())
        return "The message is marked as answered."

    @action(
        "Spam",
        permission=Permission.CONTACT_ANSWER,
        verb=None,
        tone="danger",
        bulk=True,
        when=lambda row: row.state in WAITING,
    )
    def spam(self, row: ContactMessage) -> str:
        contact.mark_spam(row.id, actor())
        return "The message is put away as spam."

    @action(
        "Not spam",
        permission=Permission.CONTACT_ANSWER,
        verb=None,
        bulk=True,
        when=lambda row: row.state in (ContactState.HELD, ContactState.SPAM),
    )
    def release(self, row: ContactMessage) -> str:
        contact.release(row.id, actor())
        return "The message is new: it is no spam."

    @action("Reply", permission=Permission.CONTACT_ANSWER, verb="replied", button=False)
    def reply(self, row: ContactMessage) -> str:
        """Mail the typed words to whoever wrote, and mark the message as answered."""
        words = request.form.get("reply", "").replace("\0", "").replace("\r\n", "\n").strip()
        if not words:
            raise DomainError("Write an answer first.")
        if len(words) > LONGEST_REPLY:
            raise DomainError(f"An answer has {LONGEST_REPLY:,} characters at most.")
        if row.state not in ANSWERABLE:
            raise DomainError("Say first that it is no spam.")
        # How many replies the page showed: pressed twice, one mail leaves.
        seen = "".join(c for c in request.form.get("seen", "0")[:6] if c in "0123456789") or "0"
        subject = f"contact:{row.id}"
        post(
            REPLY,
            row.email,
            {"message": row, "reply": words},
            dedupe_key=f"{REPLY}:{row.id}:{seen}",
            subject_ref=subject,
        )
        if row.state is ContactState.NEW:
            contact.mark_answered(row.id, actor())
        return f"Your answer goes to {row.email}."
