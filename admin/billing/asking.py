"""Rooms that ask Stripe for something: first they say what will happen, afterwards what did."""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, request
from werkzeug import Response
from wtforms import Form

from admin.base import Action, Room, record
from admin.base.columns import Row
from webapp.accounts.views.guard import actor
from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    OperationKind,
    OperationState,
)
from webapp.billing.services import carrying_out, operations
from webapp.core.db import db
from webapp.payments.errors import StripeUnavailable

WISH = re.compile(r"[0-9a-f]{16,64}")
LATER = "Stripe has not answered yet. It is asked again by itself, and the story below will tell."


class Asked(str):
    """What to say once Stripe has done what was asked for."""

    __slots__ = ("operation_id",)
    operation_id: int

    def __new__(cls, sentence: str, operation_id: int) -> "Asked":
        asked = super().__new__(cls, sentence)
        asked.operation_id = operation_id
        return asked


@dataclass(frozen=True, slots=True)
class Deed:
    """A page before something that can't be taken back, or that costs somebody money.

    ``tell`` says what pressing the button will do, ``refuse`` why it can't be pressed, None where
    it can. ``do`` returns the sentence that is shown when it is done.
    """

    verb: str | None
    title: str
    button: str
    form: type[Form]
    tell: Callable[[Row], Sequence[str]]
    refuse: Callable[[Row], str | None]
    do: Callable[[Row, Any], str]
    tone: str = "primary"


def ask(
    kind: OperationKind,
    customer: BillingCustomer,
    target: str,
    params: dict[str, Any],
    sentence: str,
) -> Asked:
    """Write down what is wanted of Stripe; pressed twice, one page's button is one wish."""
    key = wish_for(f"{kind.value}:{target}")
    operation = operations.ask(kind, customer, target, params, actor=actor(), key=key)
    return Asked(sentence, operation.id)


def wish_for(what: str) -> str | None:
    """Return the key of what the form asks for, by the number its page was made with."""
    wish = request.form.get("wish", "")
    return f"staff:{what}:{wish}" if WISH.fullmatch(wish) else None


class Asking(Room):
    """A room whose buttons ask Stripe for something: right after the commit, so that people see."""

    def deliberate(self, deed: Deed) -> Response | tuple[str, int]:
        """Show a deed's page, or do it."""
        row = self.get_one(request.args.get("id", ""))
        back, posted = self.url_of(row), request.method == "POST"
        if (why_not := deed.refuse(row)) is not None:
            flash(why_not, "error")
            return redirect(back, 303)
        form = deed.form(request.form if posted else None)
        # What a form offers may hang on its row.
        if hasattr(form, "offer"):
            form.offer(row)
        if posted and form.validate():
            with self.refusing() as refusal:
                sentence = self._done(deed, row, form)
                self._flash_outcomes([sentence])
                return redirect(back, 303)
            form.form_errors = [refusal.sentence]
            row = self.get_one(request.args.get("id", ""))
        html = self.render(
            "admin/billing/deed.html",
            row=row,
            deed=deed,
            form=form,
            told=deed.tell(row),
            wish=secrets.token_hex(16),
        )
        return html, 422 if posted else 200

    def _done(self, deed: Deed, row: Row, form: Form) -> str:
        subject, whose = self.subject_of(row), self.person_of(row)
        sentence = deed.do(row, form)
        if deed.verb is not None:
            record(f"{self.thing}.{deed.verb}", subject, user_id=whose)
        db.session.commit()
        return sentence

    def _report(self, spec: Action, done: list[str], refused: list[str]) -> None:
        plain = [sentence for sentence in done if not isinstance(sentence, Asked)]
        if plain or refused or not done:
            super()._report(spec, plain, refused)
        self._flash_outcomes([sentence for sentence in done if isinstance(sentence, Asked)])

    def _flash_outcomes(self, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            if isinstance(sentence, Asked):
                flash(*_outcome_of(sentence))
            else:
                flash(sentence, "success")


def _outcome_of(asked: Asked) -> tuple[str, str]:
    """Ask Stripe, now that the wish is kept, and return what to say and in which tone."""
    try:
        state = carrying_out.carry_out(asked.operation_id)
    except StripeUnavailable:
        db.session.rollback()
        state = OperationState.REQUESTED
    if state is OperationState.DONE:
        return str(asked), "success"
    if state is OperationState.REQUESTED:
        return LATER, "warning"
    operation = db.session.get(BillingOperation, asked.operation_id, populate_existing=True)
    why = (operation.error if operation else None) or "It gave no reason."
    return f"Stripe refused: {why}", "error"
