"""The locks of one's own account: where it is open, and what opens it."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from flask import abort, flash, redirect, render_template, session
from flask_login import current_user, logout_user
from werkzeug import Response

from webapp.accounts.forms.security import NameForm
from webapp.accounts.models import LoginSession, SessionEnd
from webapp.accounts.services import passkeys, recovery, second_step, sessions
from webapp.accounts.services.ways_in import is_required, ways_in
from webapp.accounts.signals import logged_out
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.guard import actor
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db

SECURITY = "/account/security"


@dataclass(frozen=True, slots=True)
class Device:
    """A session as its owner sees it."""

    login: LoginSession
    seen_at: datetime
    is_this: bool


@blueprint.get(SECURITY)
@open_to(MEMBERS)
def security() -> str:
    """Show every way in and every device that is in."""
    user = current_user.user
    has_factor = second_step.has_factor(user)
    return render_template(
        "accounts/security.html",
        user=user,
        ways=ways_in(user),
        passkeys=passkeys.list_passkeys(user.id),
        name_form=NameForm(formdata=None),
        has_factor=has_factor,
        codes_left=recovery.count_left(user.id) if has_factor else 0,
        owes_factor=is_required(user) and not has_factor,
        devices=_devices(user.id),
    )


def _devices(user_id: uuid.UUID) -> list[Device]:
    """Return the open sessions, this one first."""
    open_now = sessions.list_open(user_id)
    seen = sessions.last_seen([login.id for login in open_now])
    here = current_user.login.id
    devices = [
        Device(login, max(login.last_seen_at, seen.get(login.id, login.last_seen_at)), is_this)
        for login in open_now
        for is_this in (login.id == here,)
    ]
    return sorted(devices, key=lambda device: (not device.is_this, -device.seen_at.timestamp()))


@blueprint.post(f"{SECURITY}/sessions/<uuid:session_id>/end")
@open_to(MEMBERS)
def end_session(session_id: uuid.UUID) -> Response:
    """Log one device out; this one as the button to log out would."""
    here = session_id == current_user.login.id
    if here:
        logged_out.send(user=current_user.user)
    if not sessions.end_one(current_user.id, session_id, actor()):
        abort(404)
    db.session.commit()
    if here:
        logout_user()
        session.clear()
        return redirect("/login", 303)
    flash("That device is logged out.", "success")
    return redirect(SECURITY, 303)


@blueprint.post(f"{SECURITY}/sessions/end-all")
@open_to(MEMBERS)
def end_other_sessions() -> Response:
    """Log out everywhere but here."""
    here = current_user.login.id
    ended = sessions.end_all(current_user.id, SessionEnd.EVERYWHERE, actor(), keep=here)
    db.session.commit()
    devices = "1 other device is" if ended == 1 else f"{ended} other devices are"
    flash(f"{devices} logged out." if ended else "No other device was logged in.", "success")
    return redirect(SECURITY, 303)
