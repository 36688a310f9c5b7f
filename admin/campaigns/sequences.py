"""The room of sequences: mails that follow an event by themselves, and how far people came."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, Select, func, literal_column, select
from sqlalchemy.orm import joinedload, selectinload
from wtforms import Form, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from admin.base import Column, Filter, action, page
from admin.base.listing import COUNT_LIMIT
from admin.campaigns.steps import EDIT, UNITS, StepActions, wait_of
from admin.campaigns.whereabouts import typed_address
from admin.fields import one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.models import (
    Email,
    RunState,
    SequenceGoal,
    SequenceRun,
    SequenceStep,
    SequenceTrigger,
)
from webapp.campaigns.models import Sequence as MailSequence
from webapp.campaigns.services import sequences
from webapp.campaigns.services.sequences.writing import MAX_NAME
from webapp.core.db import db

SEND = Permission.CAMPAIGNS_SEND
SHOWN = 50

TRIGGERS = {
    SequenceTrigger.MEMBER_JOINED: "Somebody registers",
    SequenceTrigger.NEWSLETTER_JOINED: "Somebody subscribes to the newsletter",
    SequenceTrigger.ORDER_PLACED: "Somebody buys",
}
GOALS = {
    SequenceGoal.NONE: "The last mail is sent",
    SequenceGoal.ORDER_PLACED: "They buy",
    SequenceGoal.LINK_CLICKED: "They follow a link in one of the mails",
}
RUNS = {
    RunState.ACTIVE: "On the way",
    RunState.DONE: "Got all mails",
    RunState.GOAL: "Reached the goal",
    RunState.STOPPED: "Stopped",
}


class SequenceForm(Form):
    name = StringField("Name", [InputRequired("Name it."), Length(max=MAX_NAME), one_line])
    trigger = SelectField(
        "Begins when",
        [InputRequired()],
        choices=[SelectChoice(each.value, title) for each, title in TRIGGERS.items()],
        description="Once for each person, ever.",
    )
    goal = SelectField(
        "Ends when",
        [InputRequired()],
        choices=[SelectChoice(each.value, title) for each, title in GOALS.items()],
        description="Whoever gets there is sent no more of it.",
    )


class Sequences(StepActions):
    """Rows of mails after an event."""

    noun = "sequence"
    empty = "None yet. A sequence greets people who register, subscribe or buy."
    may_create = EDIT
    may_edit = EDIT
    added = changed = None  # the service records it
    form = SequenceForm
    search_hint = "Name"
    columns = (
        Column("name", "Name", sort=MailSequence.name),
        Column("state", "State", "pill"),
        Column("trigger", "Begins when", read=lambda row: TRIGGERS[row.trigger]),
        Column("mails", "Mails", "number"),
        Column("active_runs", "On the way", "number"),
        Column("goal_runs", "Reached the goal", "number"),
        Column("done_runs", "Got all mails", "number"),
        Column("created_at", "Made", "moment", sort=MailSequence.created_at),
    )
    filters = (
        Filter(
            "active",
            "State",
            [("yes", "Running"), ("no", "Off")],
            lambda value: MailSequence.active.is_(value == "yes"),
        ),
    )
    details_template = "admin/campaigns/sequence.html"

    def search(self, text: str) -> ColumnElement[bool]:
        return MailSequence.name.icontains(text, autoescape=True)

    def gather(self, rows: Sequence[MailSequence]) -> Mapping[Any, Mapping[str, Any]]:
        ids = [row.id for row in rows]
        mails = dict(
            db.session.execute(
                select(SequenceStep.sequence_id, func.count())
                .where(SequenceStep.sequence_id.in_(ids))
                .group_by(SequenceStep.sequence_id)
            ).all()
        )
        counted = db.session.execute(
            select(SequenceRun.sequence_id, SequenceRun.state, func.count())
            .where(SequenceRun.sequence_id.in_(ids))
            .group_by(SequenceRun.sequence_id, SequenceRun.state)
        )
        runs = {(key, state): count for key, state, count in counted}
        shown = ("active", "goal", "done")
        return {
            row.id: {
                "state": _state(row),
                "mails": mails.get(row.id, 0),
                **{f"{name}_runs": runs.get((row.id, RunState(name)), 0) for name in shown},
            }
            for row in rows
        }

    def load(self, key: Any) -> MailSequence | None:
        return db.session.scalar(
            select(MailSequence)
            .where(MailSequence.id == key)
            .options(
                selectinload(MailSequence.steps)
                .joinedload(SequenceStep.email)
                .options(selectinload(Email.variants), joinedload(Email.sender))
            )
            .execution_options(populate_existing=True)
        )

    def title_of(self, row: MailSequence) -> str:
        return row.name

    def detail(self, row: MailSequence) -> dict[str, Any]:
        figures = sequences.figures_of(row.id)
        may_edit = self.allows(EDIT) and not row.active
        return {
            "state": _state(row),
            "runs": [(RUNS[state], count) for state, count in figures.runs.items()],
            "steps": list(zip(row.steps, figures.steps, strict=True)),
            "begins": TRIGGERS[row.trigger],
            "ends": GOALS[row.goal],
            "wait_of": wait_of,
            "units": list(UNITS),
            "may_write": may_edit,
            "may_wait": self.allows(EDIT),
            "email_url": lambda email: self.get_url("admin_emails.details_view", id=email.id),
        }

    def edit_form(self, obj: MailSequence) -> Form:
        values = {"trigger": obj.trigger.value, "goal": obj.goal.value, "name": obj.name}
        return SequenceForm(request.form or None, data=values)

    def save(self, form: Any, row: MailSequence | None) -> MailSequence:
        details = sequences.SequenceDetails(
            form.name.data, SequenceTrigger(form.trigger.data), SequenceGoal(form.goal.data)
        )
        if row is None:
            return sequences.create_sequence(details, actor())
        return sequences.edit_sequence(row.id, details, actor())

    @action(
        "Switch on",
        permission=SEND,
        verb=None,
        tone="primary",
        confirm="From now on it begins for whoever its event happens to. Switch it on?",
        when=lambda row: not row.active and bool(row.steps),
    )
    def activate(self, row: MailSequence) -> str:
        sequences.activate(row.id, actor())
        return f"{row.name} is switched on."

    @action(
        "Switch off",
        permission=SEND,
        verb=None,
        confirm="Whoever is on the way gets no more of it, also not later. Switch it off?",
        when=lambda row: row.active,
    )
    def deactivate(self, row: MailSequence) -> str:
        sequences.deactivate(row.id, actor())
        return f"{row.name} is switched off."

    @action(
        "Delete",
        permission=EDIT,
        verb=None,
        tone="quiet",
        confirm="Delete it, with the drafts of its mails?",
        gone=True,
        when=lambda row: not row.active and not _has_begun(row.id),
    )
    def discard(self, row: MailSequence) -> str:
        name = row.name
        sequences.delete_sequence(row.id, actor())
        return f"{name} is deleted."

    @page("/people/", read=Permission.MEMBERS_VIEW)
    def people(self) -> str:
        """Who is or was on the way, the newest first."""
        row = self.get_one(request.args.get("id", ""))
        at = request.args.get("page", "1")
        number = max(1, int(at)) if at.isascii() and at.isdigit() and len(at) < 7 else 1
        number = min(number, COUNT_LIMIT // SHOWN)
        chosen = request.args.get("state", "")
        address = typed_address(request.args.get("address", ""))
        where = [SequenceRun.sequence_id == row.id]
        if chosen in set(RunState):
            where.append(SequenceRun.state == RunState(chosen))
        if address:
            where.append(SequenceRun.address == address)
        found = select(SequenceRun).where(*where)
        one: Select[Any] = found.with_only_columns(literal_column("1"), maintain_column_froms=True)
        counted = select(func.count()).select_from(one.limit(COUNT_LIMIT + 1).subquery())
        total = db.session.scalar(counted) or 0
        newest = found.order_by(SequenceRun.id.desc())
        runs = db.session.scalars(newest.limit(SHOWN).offset((number - 1) * SHOWN)).all()
        html: str = self.render(
            "admin/campaigns/sequence_people.html",
            row=row,
            runs=runs,
            titles=RUNS,
            chosen=chosen,
            address=address,
            total=total,
            limit=COUNT_LIMIT,
            pages={"number": number, "pages": -(-min(total, COUNT_LIMIT) // SHOWN) or 1},
        )
        return html


def _has_begun(sequence_id: int) -> bool:
    begun = select(SequenceRun.id).where(SequenceRun.sequence_id == sequence_id)
    return db.session.scalar(begun.limit(1)) is not None


def _state(row: MailSequence) -> str:
    return "running" if row.active else "off"
