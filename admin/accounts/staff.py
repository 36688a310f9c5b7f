"""The room of people who work here: who may enter, in which role, and how well locked they are."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flask import request
from flask_login import current_user
from sqlalchemy import ColumnElement, Select, case, exists, func, select
from wtforms import EmailField, Form, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from admin.accounts import dossier
from admin.accounts.members import state_of
from admin.base import Column, Filter, Link, Room, action, page
from admin.fields import one_line
from webapp.accounts.models import LoginSession, Passkey, Role, SessionEnd, Totp, User
from webapp.accounts.permissions import MEANINGS, PERMISSIONS, Permission
from webapp.accounts.services import sessions, staff
from webapp.accounts.services.ways_in import ways_in
from webapp.accounts.views.guard import actor
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError

RANK = case({role: place for place, role in enumerate(staff.LADDER)}, value=User.role)


class InviteForm(Form):
    email = EmailField(
        "Email",
        [InputRequired("Type the address."), Length(max=254), one_line],
        description="Who has an account with it already keeps that; others get a new login.",
    )
    role = SelectField("Role", [InputRequired()])


class Staff(Room):
    """Everybody with a role."""

    noun = "member of staff"
    may_see = Permission.STAFF_VIEW
    may_create = Permission.STAFF_EDIT
    added = None  # the service records it
    grave_forms = True
    search_hint = "Email"
    default_order = (RANK.desc(), User.email)
    form = InviteForm
    clashes: ClassVar[dict[str, str]] = {
        "uq_user_verified_email": "Somebody added that address a moment ago."
    }
    columns = (
        Column("email", "Email", sort=User.email),
        Column("role", "Role", "text", lambda row: row.role.value.capitalize(), sort=RANK),
        Column("second_factor", "Second factor", "flag"),
        Column("sessions", "Logged in on", "number"),
        Column("last_login_at", "Last login", "moment", sort=User.last_login_at),
        Column("state", "State", "pill", state_of),
    )
    facts = (
        Column("email", "Email"),
        Column("role", "Role", "text", lambda row: row.role.value.capitalize()),
        Column("state", "State", "pill", state_of),
        Column("created_at", "Since", "moment"),
        Column("last_login_at", "Last login", "moment"),
        Column("password_changed_at", "Password from", "moment"),
    )
    filters = (
        Filter(
            "role",
            "Role",
            [(role.value, role.value.capitalize()) for role in reversed(staff.LADDER)],
            lambda value: User.role == Role(value),
        ),
    )
    sections = (("Who comes in", ("email", "role")),)
    details_template = "admin/accounts/staff.html"

    def statement(self) -> Select[Any]:
        return select(User).where(User.role.is_not(None))

    def search(self, text: str) -> ColumnElement[bool]:
        return User.email.contains(text.lower(), autoescape=True)

    def gather(self, rows: Sequence[User]) -> Mapping[Any, Mapping[str, Any]]:
        passkey = exists().where(Passkey.user_id == User.id)
        app = exists().where(Totp.user_id == User.id, Totp.confirmed_at.is_not(None))
        running = (
            select(func.count())
            .where(
                LoginSession.user_id == User.id,
                LoginSession.ended_at.is_(None),
                LoginSession.expires_at > clock.now(),
            )
            .scalar_subquery()
        )
        found = db.session.execute(
            select(User.id, passkey | app, running).where(User.id.in_([row.id for row in rows]))
        )
        return {key: {"second_factor": second, "sessions": count} for key, second, count in found}

    def load(self, key: Any) -> User | None:
        one = self.statement().where(User.id == key)
        user: User | None = db.session.scalar(one.execution_options(populate_existing=True))
        return user

    def title_of(self, row: User) -> str:
        return row.email

    def subject_of(self, row: User) -> str:
        return f"user:{row.id}"

    def person_of(self, row: User) -> uuid.UUID:
        return row.id

    @property
    def thing(self) -> str:
        return "staff"

    def links(self) -> list[Link]:
        return [Link("What each role may do", self.get_url(".roles"))]

    def detail(self, row: User) -> dict[str, Any]:
        mine = staff.roles_to_give(current_user.role)
        return {
            "ways": ways_in(row),
            "sessions": sessions.list_open(row.id),
            "activity": dossier.activity_of(row.id),
            "roles": mine if row.role in mine and row.id != current_user.id else [],
        }

    @page("/roles/")
    def roles(self) -> str:
        """What each role may do, as permissions.py has it."""
        html: str = self.render(
            "admin/accounts/roles.html",
            roles=list(reversed(staff.LADDER)),
            meanings=MEANINGS,
            permissions=PERMISSIONS,
        )
        return html

    def create_form(self, _obj: Any = None) -> Form:
        form = InviteForm(request.form or None)
        mine = staff.roles_to_give(current_user.role)
        form.role.choices = [SelectChoice(role.value, role.value.capitalize()) for role in mine]
        if not request.form:
            form.role.data = Role.STAFF.value
        return form

    def save(self, form: Any, _row: User | None) -> User:
        return staff.invite(form.email.data, Role(form.role.data), actor())

    @action("Change role", permission=Permission.STAFF_EDIT, verb=None, button=False, grave=True)
    def change_role(self, row: User) -> str:
        wanted = request.form.get("role", "")
        if wanted not in set(Role):
            raise DomainError("Choose one of the roles.")
        staff.change_role(row, Role(wanted), actor())
        return f"{row.email} is {wanted} now, and has to log in again."

    @action(
        "End all sessions",
        permission=Permission.STAFF_EDIT,
        verb=None,
        confirm="Log them out everywhere?",
        when=lambda row: row.id != current_user.id,
    )
    def end_sessions(self, row: User) -> str:
        staff.check_may_touch(row, actor())
        ended = sessions.end_all(row.id, SessionEnd.EVERYWHERE, actor())
        return f"{row.email} is logged out everywhere: {ended} ended."

    @action(
        "Send a password reset",
        permission=Permission.STAFF_EDIT,
        verb="reset_sent",
        when=lambda row: row.active,
    )
    def send_reset(self, row: User) -> str:
        staff.send_reset(row)
        return f"A mail with a link to a new password goes to {row.email}."

    @action(
        "Shut out",
        permission=Permission.STAFF_EDIT,
        verb=None,
        tone="danger",
        confirm="Log them out and let them in no more?",
        grave=True,
        when=lambda row: row.active and row.id != current_user.id,
    )
    def shut_out(self, row: User) -> str:
        staff.shut_out(row, actor())
        return f"{row.email} is shut out."

    @action(
        "Let in again",
        permission=Permission.STAFF_EDIT,
        verb=None,
        when=lambda row: state_of(row) == "shut_out",
    )
    def let_in(self, row: User) -> str:
        staff.let_in_again(row, actor())
        return f"{row.email} may log in again."

    @action(
        "Take the role away",
        permission=Permission.STAFF_EDIT,
        verb=None,
        tone="danger",
        confirm="They can't enter the back office any more. Go on?",
        grave=True,
        gone=True,
        when=lambda row: row.id != current_user.id,
    )
    def dismiss(self, row: User) -> str:
        email = row.email
        staff.dismiss(row, actor())
        return f"{email} has no role any more."
