"""The room of suppressions: addresses that get no mail, why, and since when."""

from textwrap import shorten
from typing import Any

from flask import Response, flash, redirect, request, stream_with_context
from flask_login import current_user
from sqlalchemy import ColumnElement, select
from wtforms import EmailField, Form, SelectField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Email, InputRequired, Length

from admin import staging
from admin.base import Column, Filter, Link, Room, action, page, record
from admin.fields import one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.services.importing.reading import decode
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.state import current_fork
from webapp.messaging.models import MailSuppression, SuppressionReason, SuppressionScope
from webapp.messaging.services import suppressing

SCOPES = {
    SuppressionScope.MARKETING: "Campaigns only",
    SuppressionScope.ALL: "Every mail, also about orders",
}
REASONS = {
    SuppressionReason.MANUAL: "Decided by staff",
    SuppressionReason.BOUNCE: "Bounced",
    SuppressionReason.COMPLAINT: "Complained",
    SuppressionReason.IMPORT: "Imported",
}
TYPED = (SuppressionReason.MANUAL, SuppressionReason.COMPLAINT, SuppressionReason.BOUNCE)


class SuppressionForm(Form):
    email = EmailField(
        "Address",
        [InputRequired("Type the address."), Email(), one_line],
        filters=[lambda text: text.strip() if text else text],
    )
    scope = SelectField(
        "Gets none of",
        [InputRequired()],
        choices=[SelectChoice(scope.value, title) for scope, title in SCOPES.items()],
    )
    reason = SelectField(
        "Why",
        [InputRequired()],
        choices=[SelectChoice(reason.value, REASONS[reason]) for reason in TYPED],
    )
    detail = TextAreaField(
        "Note",
        [Length(max=500)],
        description="For colleagues: who asked for it, and how.",
        render_kw={"rows": 3},
    )


class Suppressions(Room):
    """Addresses that must not be written to."""

    noun = "suppression"
    empty = "None yet. Bounces and complaints come here by themselves."
    may_see = Permission.MEMBERS_VIEW
    may_create = Permission.SUPPRESSION_EDIT
    added = None  # the service records it
    form = SuppressionForm
    intro = "Nothing gets round this list: it is asked again right before each mail leaves."
    search_hint = "Email"
    columns = (
        Column("email", "Address"),
        Column("scope", "Gets none of", "text", lambda row: SCOPES[row.scope]),
        Column("reason", "Why", "text", lambda row: REASONS[row.reason]),
        Column("detail", "Note", read=lambda row: shorten(row.detail, 80, placeholder=" …")),
        Column("source", "Known from"),
        Column("at", "Since", "moment", sort=MailSuppression.id),
    )
    facts = (
        Column("email", "Address"),
        Column("scope", "Gets none of", "text", lambda row: SCOPES[row.scope]),
        Column("reason", "Why", "text", lambda row: REASONS[row.reason]),
        Column("detail", "Note"),
        Column("source", "Known from"),
        Column("at", "Since", "moment"),
    )
    filters = (
        Filter(
            "scope",
            "Gets none of",
            [(scope.value, title) for scope, title in SCOPES.items()],
            lambda value: MailSuppression.scope == SuppressionScope(value),
        ),
        Filter(
            "reason",
            "Why",
            [(reason.value, title) for reason, title in REASONS.items()],
            lambda value: MailSuppression.reason == SuppressionReason(value),
        ),
    )

    def search(self, text: str) -> ColumnElement[bool]:
        text = text.lower()
        if "@" in text and "." in text.rpartition("@")[2]:
            return MailSuppression.email == text
        return MailSuppression.email.contains(text, autoescape=True)

    def title_of(self, row: MailSuppression) -> str:
        return row.email

    def links(self) -> list[Link]:
        found = [Link("Export as CSV", self.get_url(".export"))]
        if self.allows(Permission.SUPPRESSION_EDIT):
            found.insert(0, Link("Import", self.get_url(".bring_in")))
        return found

    def save(self, form: Any, _row: MailSuppression | None) -> MailSuppression:
        scope = SuppressionScope(form.scope.data)
        _refuse_listed(form.email.data, scope)
        return suppressing.suppress(
            form.email.data,
            scope,
            SuppressionReason(form.reason.data),
            "staff",
            (form.detail.data or "").strip(),
            by=actor(),
        )

    @action(
        "Remove",
        permission=Permission.SUPPRESSION_EDIT,
        verb=None,
        tone="danger",
        confirm="Remove it? Mails may go to this address again.",
        grave=True,
        gone=True,
    )
    def remove(self, row: MailSuppression) -> str:
        email = row.email
        suppressing.unsuppress(email, actor())
        return f"{email} may be written to again, as far as they want it."

    @page("/export.csv", read=Permission.MEMBERS_VIEW)
    def export(self) -> Response:
        """The whole list, as it is read."""
        record("suppression.exported", "suppression:list")
        db.session.commit()
        name = f"{current_fork().name}-suppressions-{clock.now():%Y-%m-%d}.csv"
        return Response(
            stream_with_context(suppressing.export_suppressions()),
            mimetype="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    @page("/import/", read=Permission.SUPPRESSION_EDIT, write=Permission.SUPPRESSION_EDIT)
    def bring_in(self) -> Any:
        """A file is looked at first; what it would do is done by a second press."""
        if request.method != "POST":
            return self._import_page()
        with self.refusing() as refusal:
            return self._apply() if request.form.get("token") else self._look()
        return self._import_page(problem=refusal.sentence), 422

    def _import_page(self, **found: Any) -> str:
        html: str = self.render("admin/messaging/import.html", **found)
        return html

    def _look(self) -> Any:
        content = staging.read_upload(request.files.get("file"))
        report = suppressing.import_suppressions(decode(content).text, actor(), dry_run=True)
        token = None if report.problem_count else staging.keep(content, current_user.id)
        status = 422 if report.problem_count else 200
        return self._import_page(report=report, token=token), status

    def _apply(self) -> Any:
        token = request.form["token"]
        content = staging.fetch(token, current_user.id)
        report = suppressing.import_suppressions(decode(content).text, actor(), dry_run=False)
        db.session.commit()
        staging.drop(token, current_user.id)
        if not report.applied:
            return self._import_page(report=report, token=None), 422
        new = report.added + report.widened
        lines = "line" if report.rows == 1 else "lines"
        flash(f"{new:,} of {report.rows:,} {lines} changed the list.", "success")
        return redirect(self.get_url(".index_view"), 303)


def _refuse_listed(email: str, scope: SuppressionScope) -> None:
    """Tell who types an address that is there already: nothing of it would be kept."""
    there = MailSuppression.email == suppressing.folded(email)
    standing = db.session.scalar(select(MailSuppression).where(there))
    if standing is not None and standing.scope in (scope, SuppressionScope.ALL):
        what = "no mail at all" if standing.scope is SuppressionScope.ALL else "no campaign"
        raise DomainError(
            f"{standing.email} is on the list already and gets {what}, since"
            f" {standing.at:%b %-d, %Y}. Nothing was changed."
        )
