"""The desk of one mail: its words beside how they look, what to mend, a test to oneself."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import flash, make_response, redirect, request, url_for
from flask_admin import expose
from werkzeug import Response

from admin.base import action, page
from admin.campaigns import desk, stages
from admin.campaigns.drafts import EmailForm, typed_before
from admin.campaigns.looks import frame_of, live_of
from admin.campaigns.progress import MOVING, STARTED, view_of
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.models import Audience, Email, EmailState
from webapp.campaigns.services import emails, testing
from webapp.campaigns.services.checking import ask_to_check_links, list_variables
from webapp.campaigns.services.emails import LETTERS, MAX_LINE, MAX_VARIANTS, EmailDetails
from webapp.core.db import db
from webapp.core.errors import DomainError

EDIT = Permission.CAMPAIGNS_EDIT
# Without one of these it is no mail.
CHOICES = ("type", "topic", "format", "ab_metric")
# What the first variants beside A are tried with, until somebody says otherwise.
USUAL_SHARE = 20


@dataclass(frozen=True, slots=True)
class Words:
    """One variant's part of the form."""

    number: int
    letter: str
    form: Any


@dataclass(frozen=True, slots=True)
class Variable:
    """What a button of the palette inserts; ``fallback`` is the part to be typed over."""

    name: str
    text: str
    fallback: str


class EditorPages(stages.StageActions):
    """What the room of emails does with one of them."""

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> Response | tuple[str, int] | str:
        """The desk once more; a POST saves what was typed there."""
        row = self.get_one(request.args.get("id", ""))
        if request.method != "POST":
            return redirect(self.url_of(row), 303)
        form = self._form(row)
        if form.validate():
            with self.refusing() as refusal:
                self._save(row, form)
                return redirect(self._back_to(row), 303)
            form.form_errors = [refusal.sentence]
            row = self.get_one(request.args.get("id", ""))
        if row.state is not EmailState.DRAFT:
            flash(" ".join(form.form_errors), "error")
            return redirect(self.url_of(row), 303)
        return self._desk(row, form), 422

    def _save(self, row: Email, form: EmailForm) -> None:
        details = _changed(form.details(), request.form.get("also", ""))
        # A second press of the same button brings the same words: they are there already.
        if emails.details_of(row) != details:
            emails.edit_email(row.id, details, actor(), seen_at=_seen())
            db.session.commit()
        flash(f"{details.name} is saved.", "success")

    def _back_to(self, row: Email) -> str:
        number = _chosen()
        added = request.form.get("also") == "add"
        shown = len(row.variants) if added else min(number, len(row.variants))
        return str(self.get_url(".details_view", id=row.id, variant=shown if shown > 1 else None))

    def detail(self, row: Email) -> dict[str, Any]:
        form = self._form(row) if self._may_write(row) else None
        return self._around(row, form)

    def _desk(self, row: Email, form: EmailForm) -> str:
        html: str = self.render(self.details_template, row=row, **self._around(row, form))
        return html

    def _may_write(self, row: Email) -> bool:
        return row.state is EmailState.DRAFT and self.allows(EDIT)

    def _form(self, row: Email) -> EmailForm:
        posted = request.form if request.method == "POST" else None
        form = EmailForm(posted, data=typed_before(row))
        form.offer(desk.audiences(sized=posted is None), desk.senders())
        return form

    def _around(self, row: Email, form: EmailForm | None) -> dict[str, Any]:
        """Return what the desk shows around the words."""
        step = desk.step_of(row.id)
        number = min(_chosen(), len(row.variants))
        live = live_of(row, number, None, is_step=step is not None)
        started = row.state in (*STARTED, EmailState.AUTOMATED)
        return {
            "form": form,
            "words": _words(form) if form else [],
            "chosen": number,
            "seen": request.form.get("seen") or row.updated_at.isoformat(),
            "known": palette() if form else [],
            "may_add": len(row.variants) < MAX_VARIANTS,
            "live": live,
            "stage": stages.stage_of(row),
            "step": step,
            "desk": self._buttons(row, live.size.wanted if live.size else None, step is not None),
            "recipients_url": self._recipients_url(row),
            "progress": view_of(row),
            "started": started,
            "waits": row.state in MOVING,
            "facts": desk.facts_of(row),
            "again_line": desk.again_line(row),
            "history": desk.history_of(row, by_name=self.allows(Permission.STAFF_VIEW)),
            "results_url": url_for("admin_results.details_view", id=row.id),
            "look_url": self.get_url(".preview", id=row.id, look_variant=number),
            "longest": MAX_LINE,
            "nonce": secrets.token_hex(8),
        }

    def _buttons(self, row: Email, wanted: int | None, is_step: bool) -> desk.Desk:
        may_send = self.allows(stages.SEND) and not is_step
        waits = row.state in stages.WAITING and not stages.needs_approval(row)
        gathered = waits and row.populated_at is not None
        empty = gathered and not row.population
        found = [] if is_step else self.buttons(row)
        count = row.population if row.populated_at is not None else wanted or 0
        return desk.Desk(
            main=[each for each in found if not each.gone],
            side=[each for each in found if each.gone],
            may_schedule=may_send and waits and not empty,
            may_start=may_send and gathered and not empty,
            may_copy=self.allows(EDIT),
            may_resend=may_send and desk.can_be_resent(row),
            people=stages.number_of_people(count),
            zone=stages.zone().key,
            suggested=stages.suggested(row),
            window_line=desk.window_line(row),
            tracking_line=desk.tracking_line(row),
            test_line=desk.test_line(row),
        )

    def _recipients_url(self, row: Email) -> str | None:
        if row.populated_at is None or not self.allows(Permission.MEMBERS_VIEW):
            return None
        return url_for("admin_recipients.index_view", email=row.id)

    @page("/preview/", write=EDIT)
    def preview(self) -> Response:
        """The mail as a document of its own, for the frame of the desk.

        A POST shows what was typed and isn't saved. Whose mail it is takes the right to see people.
        """
        row = self.get_one(request.args.get("id", ""))
        if request.method == "POST":
            row = self._typed(row)
        return frame_of(row, _chosen(), self._address(), request.values.get("look_as", ""))

    @page("/live/", write=EDIT)
    def live(self) -> Response:
        """What is to be said of the words as they are typed: how the inbox shows them, checks."""
        row = self.get_one(request.args.get("id", ""))
        is_step = desk.step_of(row.id) is not None
        if request.method == "POST":
            row = self._typed(row)
        shown = live_of(row, _chosen(), self._address(), is_step=is_step)
        return make_response(self.render("admin/campaigns/live.html", live=shown))

    def _typed(self, row: Email) -> Email:
        """Return the mail as it is typed, in no session; as it is saved where that makes none."""
        form = self._form(row)
        form.validate()
        if row.state is not EmailState.DRAFT or not form.errors.keys().isdisjoint(CHOICES):
            return row
        details = form.details()
        typed = emails.draft_of(details)
        typed.resend_of = row.resend_of
        # Rows of the database are found by relations only for what is in it itself.
        for side, key in (("audience", details.audience_id), ("exclude", details.exclude_id)):
            setattr(typed, side, db.session.get(Audience, key) if key else None)
        return typed

    def _address(self) -> str | None:
        typed = _line(request.values.get("look_address", ""))
        return typed if typed and self.allows(Permission.MEMBERS_VIEW) else None

    @action("Check links and images", permission=EDIT, verb="links_checked", button=False)
    def check_links(self, row: Email) -> str:
        ask_to_check_links(row.id)
        return "Links and images are being tried. What was found shows up under Checks."

    @action("Send a test", permission=EDIT, verb=None, button=False)
    def test(self, row: Email) -> str:
        to = _line(request.form.get("to", ""))
        nonce = request.form.get("nonce") or None
        testing.send_test(row.id, _chosen(), to, actor(), nonce=nonce)
        return f"A test is on its way to {to}."


def _changed(details: EmailDetails, also: str) -> EmailDetails:
    """Return the details with a variant more, or one less, if that button was pressed."""
    words = details.variants
    if also == "add" and len(words) < MAX_VARIANTS:
        share = details.ab_share or (USUAL_SHARE if len(words) == 1 else None)
        return replace(details, variants=(*words, words[-1]), ab_share=share)
    number = also.removeprefix("remove-")
    if number.isascii() and number.isdigit() and 1 < int(number) <= len(words):
        kept = tuple(each for at, each in enumerate(words, start=1) if at != int(number))
        return replace(details, variants=kept)
    return details


def _words(form: EmailForm) -> list[Words]:
    return [
        Words(number, LETTERS[number - 1], each.form)
        for number, each in enumerate(form.variants, start=1)
    ]


def _line(text: str) -> str:
    """Return a typed address without what can't be part of one."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:254]


def _chosen() -> int:
    """Return the number of the variant that is looked at."""
    text = request.values.get("look_variant") or request.args.get("variant", "")
    return int(text) if text in map(str, range(1, MAX_VARIANTS + 1)) else 1


def _seen() -> datetime:
    """Return when the mail was saved that the form was made from. Raises DomainError."""
    try:
        seen = datetime.fromisoformat(request.form.get("seen", ""))
    except ValueError:
        seen = None
    if seen is None or seen.tzinfo is None:
        raise DomainError("This form is not complete. Open the email again.")
    return seen


FALLBACKS = {"first_name": "there", "name": "friend of the shop", "country": "your country"}
NEVER_EMPTY = ("email", "shop_name", "shop_url")


def palette() -> Sequence[Variable]:
    """Return the variables that can be used, each as it is written."""
    made = []
    for name in list_variables():
        fallback = "" if name in NEVER_EMPTY else FALLBACKS.get(name, "…")
        text = f"{{{{ {name} | {fallback} }}}}" if fallback else f"{{{{ {name} }}}}"
        made.append(Variable(name.replace("_", " "), text, fallback))
    return made
