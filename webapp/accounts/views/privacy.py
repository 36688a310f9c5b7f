"""One's own data: a copy of it, and the way out."""

from datetime import datetime

from flask import (
    Response,
    current_app,
    flash,
    redirect,
    render_template,
    send_from_directory,
    session,
    url_for,
)
from flask_login import current_user, logout_user
from werkzeug import Response as BaseResponse

from webapp.accounts.forms.privacy import CloseForm
from webapp.accounts.models import DataExport, ExportState
from webapp.accounts.queries.privacy import list_exports
from webapp.accounts.services import closing, exporting
from webapp.accounts.signals import logged_out
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.guard import actor, needs_proof
from webapp.core import clock
from webapp.core.access import MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError

ASKED = "Your copy is being made. We'll write to you when it is ready; it shows up here as well."
KEPT = "Your account stays open, with everything in it."


def _day(at: datetime) -> str:
    """Return the day as templates write it."""
    written: str = current_app.jinja_env.filters["date"](at)
    return written


@blueprint.get("/account/data")
@open_to(MEMBERS)
def data() -> Response:
    return _private(_page())


def _page(error: str | None = None) -> str:
    copies = list_exports(current_user.id)
    return render_template(
        "accounts/data.html",
        error=error,
        copies=[(copy, _token(copy)) for copy in copies],
        open_copy=any(exporting.is_under_way(copy) for copy in copies),
        erase_after=current_user.user.erase_after,
        works_here=current_user.role is not None,
        grace=closing.GRACE.days,
        kept=exporting.KEPT.days,
    )


def _token(copy: DataExport) -> str | None:
    lasts = copy.expires_at is not None and copy.expires_at > clock.now()
    return exporting.token_of(copy) if lasts and copy.state is ExportState.READY else None


def _private(page: str, status: int = 200) -> Response:
    return Response(page, status, headers={"Cache-Control": "private, no-store"})


@blueprint.post("/account/data/export")
@open_to(MEMBERS)
def ask_for_copy() -> BaseResponse:
    """Promise a copy; a job makes it."""
    try:
        exporting.ask_for_copy(current_user.user, actor())
    except DomainError as error:
        db.session.rollback()
        return _private(_page(error.sentence), error.status)
    db.session.commit()
    flash(ASKED, "success")
    return redirect(url_for("accounts.data"), 303)


@blueprint.get("/export/<token>")
@open_to(MEMBERS)
@needs_proof
def download_copy(token: str) -> Response:
    """Hand the copy to whom it is about, and to nobody else who has the link."""
    export = exporting.open_copy(token, current_user.user, actor())
    name, day = export.file_name or "", export.created_at
    db.session.commit()
    answer = send_from_directory(
        exporting.folder(), name, as_attachment=True, download_name=f"my-data-{day:%Y-%m-%d}.zip"
    )
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@blueprint.route("/account/data/close", methods=["GET", "POST"])
@open_to(MEMBERS)
@needs_proof
def close_account() -> BaseResponse:
    """Close the account once the word was typed; everything is erased some days later."""
    form = CloseForm()
    if not form.validate_on_submit():
        return _private(_close_page(form), 422 if form.is_submitted() else 200)
    user = current_user.user
    try:
        erase_after = closing.close_account(user, actor())
    except DomainError as error:
        db.session.rollback()
        form.form_errors = [error.sentence]
        return _private(_close_page(form), error.status)
    logged_out.send(user=user)
    db.session.commit()
    logout_user()
    session.clear()
    flash(
        f"Your account is closed and will be erased on {_day(erase_after)}. "
        "Until then you can log in and keep it.",
        "success",
    )
    return redirect(url_for("accounts.login"), 303)


def _close_page(form: CloseForm) -> str:
    return render_template(
        "accounts/close.html",
        form=form,
        grace=closing.GRACE.days,
        works_here=current_user.role is not None,
    )


@blueprint.post("/account/data/keep")
@open_to(MEMBERS)
def keep_account() -> BaseResponse:
    """Take the closing back."""
    if closing.keep_account(current_user.user, actor()):
        flash(KEPT, "success")
    db.session.commit()
    return redirect(url_for("accounts.data"), 303)
