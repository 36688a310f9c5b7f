"""A room: the list of a model with its forms and actions, each change written in the audit."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from flask import flash, redirect, request
from flask_admin import expose
from werkzeug import Response
from wtforms import Form

from admin.base.actions import Action
from admin.base.changes import Changes, Refusing, record
from admin.base.columns import Row
from admin.base.listing import Listing
from webapp.accounts.views.guard import same_site
from webapp.core.db import db
from webapp.core.errors import Forbidden

MAX_BULK = 200


class Room(Listing):
    """A list of one model's rows with search, filters, a detail page, forms and actions.

    A room says what it shows in ``columns`` and ``facts``, who may change it in ``may_*``, and
    overrides ``search``, ``gather`` and ``save`` where the default won't do.
    """

    # Constraint -> what to tell whoever ran into it.
    clashes: ClassVar[Mapping[str, str]] = {}
    # Titles of groups of fields; without them a form is one group.
    sections: ClassVar[Sequence[tuple[str, Sequence[str]]]] = ()
    # What the audit calls creating and editing a row; None where the service says it itself.
    added: ClassVar[str | None] = "added"
    changed: ClassVar[str | None] = "changed"

    # Whether its forms ask for a credential again, unless one was shown just now.
    grave_forms: ClassVar[bool] = False

    def subject_of(self, row: Row) -> str:
        """Return what the audit calls the row: ``discount_code:7``."""
        return f"{self.thing}:{self.get_pk_value(row)}"

    def person_of(self, _row: Row) -> uuid.UUID | None:
        """Return whose row it is, if it is somebody's: they may read what was done to it."""
        return None

    @property
    def thing(self) -> str:
        return self.noun.replace(" ", "_")

    def is_editable(self, _row: Row) -> bool:
        """Say whether this very row may still be changed."""
        return True

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Response | tuple[str, int]:
        return self._form_page(None)

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> Response | tuple[str, int]:
        row = self.get_one(request.args.get("id", ""))
        if not self.is_editable(row):
            raise Forbidden(f"{self.title_of(row)} can't be changed any more.")
        return self._form_page(row)

    def _form_page(self, row: Row | None) -> Response | tuple[str, int]:
        # Asked before anything is typed, so that nothing typed is lost on the way.
        if self.grave_forms and (proof := self.proof_first(request.full_path.rstrip("?"))):
            return proof
        form = self.create_form() if row is None else self.edit_form(obj=row)
        key = None if row is None else self.get_pk_value(row)
        posted = request.method == "POST"
        if posted and form.validate():
            saved = self._saved(form, row)
            if saved is not None:
                done = "added" if key is None else "saved"
                flash(f"{self.title_of(saved)} is {done}.", "success")
                return redirect(self.url_of(saved), 303)
        template = self.create_template if key is None else self.edit_template
        html = self.render(template, form=form, row=None if key is None else self.get_one(str(key)))
        return html, 422 if posted else 200

    def _saved(self, form: Form, row: Row | None) -> Row | None:
        with self.refusing() as refusal, Changes(row) as changes:
            saved = self.save(form, row)
            self._record_saved(saved, None if row is None else changes.fields)
            db.session.commit()
            return saved
        form.form_errors = [refusal.sentence]
        return None

    def _record_saved(self, row: Row, fields: list[str] | None) -> None:
        verb = self.added if fields is None else self.changed
        if verb is not None:
            details = {} if fields is None else {"fields": fields}
            did, whose = f"{self.thing}.{verb}", self.person_of(row)
            record(did, self.subject_of(row), user_id=whose, **details)

    def save(self, form: Form, row: Row | None) -> Row:
        """Write the form into ``row``, or into a new one, and flush."""
        if row is None:
            row = self.model()
            db.session.add(row)
        form.populate_obj(row)
        db.session.flush()
        return row

    def refusing(self) -> Refusing:
        """Return a context that takes a refusal for an answer: roll back, keep the sentence."""
        return Refusing(self.clashes)

    def carry_out(self, spec: Action, method: Callable[..., str]) -> Response:
        """Take the action for each posted id, each in its own transaction, and say how it went."""
        ids = request.form.getlist("id")[:MAX_BULK]
        back = self._back(ids)
        if spec.grave and (proof := self.proof_first(back)) is not None:
            return proof
        done: list[str] = []
        refused: list[str] = []
        for key in ids:
            with self.refusing() as refusal:
                row = self.get_one(key)
                # Before it is done: afterwards the row may be gone.
                subject, whose = self.subject_of(row), self.person_of(row)
                sentence = method(self, row)
                if spec.verb is not None:
                    record(f"{self.thing}.{spec.verb}", subject, user_id=whose)
                db.session.commit()
                done.append(sentence)
            if refusal.sentence:
                refused.append(refusal.sentence)
        self._report(spec, done, refused)
        return redirect(self.get_url(".index_view") if spec.gone and done else back, 303)

    def _back(self, ids: Sequence[str]) -> str:
        """Return the page an action was taken on, or the row's own, or the list."""
        target = same_site(request.form.get("back"))
        if target is None and len(ids) == 1:
            target = self.get_url(".details_view", id=ids[0])
        return target or str(self.get_url(".index_view"))

    def _report(self, spec: Action, done: list[str], refused: list[str]) -> None:
        if not done and not refused:
            flash("Tick at least one row first.", "warning")
        if len(done) > 1:
            flash(f"{spec.title}: {len(done)} done.", "success")
        elif done:
            flash(done[0], "success")
        for sentence in refused[:5]:
            flash(sentence, "error")
        if len(refused) > 5:
            flash(f"{len(refused) - 5} more were refused for such reasons.", "error")
