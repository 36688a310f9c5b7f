"""The room of members: find one, read what they did here, end what must be ended."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, Select, and_, select, union
from sqlalchemy.orm import contains_eager, joinedload

from admin.accounts import dossier
from admin.accounts.notes import keep_note
from admin.base import Column, Filter, Room, action
from admin.billing import Subscriptions
from admin.billing.member_panel import read_billing
from webapp.accounts.models import Address, Member, SessionEnd, User
from webapp.accounts.permissions import Permission
from webapp.accounts.services import closing, sessions, staff
from webapp.accounts.services.ways_in import ways_in
from webapp.accounts.views.guard import actor
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.orders.models import Order

HERE = (User.erased_at.is_(None), User.closed_at.is_(None))
STATES = {
    "active": (*HERE, User.active, User.email_verified_at.is_not(None)),
    "unverified": (*HERE, User.active, User.email_verified_at.is_(None)),
    "shut_out": (*HERE, ~User.active),
    "closing": (User.erased_at.is_(None), User.closed_at.is_not(None)),
    "erased": (User.erased_at.is_not(None),),
}


def state_of(user: User) -> str:
    """Return in a word how things stand with a login; the gravest first."""
    if user.erased_at is not None:
        return "erased"
    if user.closed_at is not None:
        return "closing"
    if not user.active:
        return "shut_out"
    return "active" if user.email_verified_at is not None else "unverified"


def _narrow(value: str) -> ColumnElement[bool]:
    return and_(*STATES[value])


class Members(Room):
    """Customers with an account."""

    noun = "member"
    may_see = Permission.MEMBERS_VIEW
    search_hint = "Email, name or number"
    columns = (
        Column("name", "Name", "text", lambda row: row.name or row.user.email, sort=Member.name),
        Column("email", "Email", "text", lambda row: row.user.email, sort=User.email),
        Column("state", "State", "pill", lambda row: state_of(row.user)),
        Column("verified", "Verified", "flag", lambda row: row.user.email_verified_at is not None),
        Column("orders", "Orders", "number"),
        Column("spent", "Spent", "money"),
        Column("since", "Since", "moment", lambda row: row.created_at, sort=Member.id),
        Column("last_login", "Last login", "moment", lambda row: row.user.last_login_at),
    )
    filters = (
        Filter(
            "state",
            "State",
            [(name, name.replace("_", " ").capitalize()) for name in STATES],
            _narrow,
        ),
    )
    details_template = "admin/accounts/member.html"

    def statement(self) -> Select[Any]:
        return (
            select(Member)
            .join(User, User.id == Member.user_id)
            .options(contains_eager(Member.user))
        )

    def search(self, text: str) -> ColumnElement[bool]:
        """A union of small selects lets each use its own index."""
        text = text.lower()
        with_user = select(Member.id).join(User, User.id == Member.user_id)
        if "@" in text and "." in text.rpartition("@")[2]:
            return Member.id.in_(with_user.where(User.email == text))
        found = [
            with_user.where(User.email.contains(text, autoescape=True)),
            select(Member.id).where(Member.name.icontains(text, autoescape=True)),
        ]
        if text.isascii() and text.isdigit() and len(text) < 19:
            found.append(select(Member.id).where(Member.id == int(text)))
        if (key := _uuid(text)) is not None:
            return Member.user_id == key
        return Member.id.in_(union(*found))

    def gather(self, rows: Sequence[Member]) -> Mapping[Any, Mapping[str, Any]]:
        return dossier.gather_sales(Order.member_id, rows)

    def load(self, key: Any) -> Member | None:
        return db.session.scalar(
            select(Member)
            .where(Member.id == key)
            .options(joinedload(Member.user))
            .execution_options(populate_existing=True)
        )

    def title_of(self, row: Member) -> str:
        return row.name or row.user.email

    def subject_of(self, row: Member) -> str:
        return f"user:{row.user_id}"

    def person_of(self, row: Member) -> uuid.UUID:
        return row.user_id

    def detail(self, row: Member) -> dict[str, Any]:
        user = row.user
        # An address that nobody proved may be another person's: what it was sent isn't theirs.
        proved = user.email if user.email_verified_at is not None else None
        addresses = select(Address).where(Address.member_id == row.id)
        sees_billing = self.allows(Subscriptions.may_see)
        return {
            "user": user,
            "state": state_of(user),
            "sales": dossier.sales_of(Order.member_id, [row.id])[row.id],
            "orders": dossier.orders_of(Order.member_id, row.id),
            "sees_billing": sees_billing,
            "billing": read_billing(user.id) if sees_billing else None,
            "mails": dossier.mails_of(user.id, proved),
            "consents": dossier.consents_of(proved) if proved else [],
            "sessions": sessions.list_open(user.id),
            "ways": ways_in(user),
            "addresses": db.session.scalars(
                addresses.order_by(Address.is_default.desc(), Address.id).limit(50)
            ).all(),
            "notes": dossier.notes_about(member_id=row.id),
            "agreements": dossier.agreements_of(user.id),
            "activity": dossier.activity_of(user.id),
            "exports": dossier.exports_of(user.id),
            "email_changes": dossier.email_changes_of(user.id),
            "erasure": dossier.erasure_of(user.id),
        }

    @action(
        "Send a password reset",
        permission=Permission.MEMBERS_EDIT,
        verb="reset_sent",
        when=lambda row: row.user.active and row.user.erased_at is None,
    )
    def send_reset(self, row: Member) -> str:
        if not row.user.active or row.user.erased_at is not None:
            raise DomainError("Who can't log in can't use a new password either.")
        staff.send_reset(row.user)
        return f"A mail with a link to a new password goes to {row.user.email}."

    @action(
        "End all sessions",
        permission=Permission.MEMBERS_EDIT,
        verb=None,
        confirm="Log them out everywhere?",
        when=lambda row: row.user.erased_at is None,
    )
    def end_sessions(self, row: Member) -> str:
        staff.check_may_touch(row.user, actor())
        ended = sessions.end_all(row.user_id, SessionEnd.EVERYWHERE, actor())
        return f"{self.title_of(row)} is logged out everywhere: {ended} ended."

    @action("End session", permission=Permission.MEMBERS_EDIT, verb=None, button=False)
    def end_session(self, row: Member) -> str:
        staff.check_may_touch(row.user, actor())
        key = _uuid(request.form.get("session", ""))
        if key is None or not sessions.end_one(row.user_id, key, actor()):
            raise DomainError("That session has ended already.")
        return "The session is ended."

    @action(
        "Shut out",
        permission=Permission.MEMBERS_EDIT,
        verb=None,
        tone="danger",
        confirm="Log them out and let them in no more?",
        when=lambda row: row.user.active and row.user.erased_at is None,
    )
    def shut_out(self, row: Member) -> str:
        staff.shut_out(row.user, actor())
        return f"{self.title_of(row)} is shut out."

    @action(
        "Let in again",
        permission=Permission.MEMBERS_EDIT,
        verb=None,
        when=lambda row: not row.user.active and row.user.erased_at is None,
    )
    def let_in(self, row: Member) -> str:
        staff.let_in_again(row.user, actor())
        return f"{self.title_of(row)} may log in again."

    @action(
        "Close the account",
        permission=Permission.MEMBERS_ERASE,
        verb=None,
        tone="danger",
        confirm="They are told, and in two weeks all that is known of them is erased. Close it?",
        grave=True,
        when=lambda row: row.user.closed_at is None and row.user.role is None,
    )
    def close(self, row: Member) -> str:
        if row.user.erased_at is not None:
            raise DomainError("This account is erased already.")
        erase_after = closing.close_account(row.user, actor())
        return f"The account is closed, and erased after {erase_after:%Y-%m-%d} (UTC)."

    @action("Add a note", permission=Permission.MEMBERS_NOTE, verb="noted", button=False)
    def add_note(self, row: Member) -> str:
        keep_note(request.form.get("text", ""), member_id=row.id)
        return "The note is kept."


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
