"""The room of dunning policies: version by version, with its mails to see and its past to try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from sqlalchemy import Select, func, select
from werkzeug import Response

from admin.base import Column, Room, page
from admin.billing.declined import KIND_TITLES
from admin.billing.policy_form import (
    PastForm,
    PolicyForm,
    facts_of,
    kinds_of,
    typed_before,
)
from admin.billing.schedule import title_of
from admin.billing.story import name_actors
from admin.campaigns.looks import framed
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.billing.models import DeclineKind, DunningCase, DunningPolicy, Plan
from webapp.billing.policy import Policy
from webapp.billing.services.dunning import mails, policies, simulating
from webapp.core.db import db
from webapp.core.errors import DomainError, NotFound

EDIT = Permission.BILLING_EDIT
# A page waits for it: about a second for so many.
MOST_CASES = 5_000
LONGEST_PAST = timedelta(days=366 * 3)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a policy as its page shows it: for which refusals it is."""

    key: str
    title: str
    day: int
    mail: str
    kinds: list[str]


def steps_of(policy: Policy) -> list[Step]:
    """Return every step of a policy, whatever the refusal, in the order of the days."""
    found = {step.key: step for kind in DeclineKind for step in policy.steps(kind)}
    return [
        Step(
            key,
            title_of(policy, key),
            step.day,
            step.mail,
            [KIND_TITLES[kind] for kind in kinds_of(policy, key)],
        )
        for key, step in sorted(found.items(), key=lambda each: each[1].day)
    ]


class Policies(Room):
    """How failed payments are chased. A version is never changed; cases keep theirs."""

    noun = "policy"
    intro = (
        "The version in force holds for cases that open from now on; a case under way keeps its "
        "own. To change how payments are chased, write a new version."
    )
    empty = "Nobody changed it yet: what everybody begins with is in force."
    may_create = EDIT
    added = None  # the service records it
    columns = (
        Column("version", "Version", "text", lambda row: f"Version {row.id}"),
        Column("state", "State", "pill", lambda row: "in_force" if row.in_force else "past"),
        Column("steps", "Mails on days"),
        Column("wall", "Wall", "number"),
        Column("end", "End", "number"),
        Column("cases", "Cases", "number"),
        Column("author", "By"),
        Column("created_at", "Since", "moment"),
        Column("note", "Why", "short"),
    )
    details_template = "admin/billing/policy.html"
    create_template = "admin/billing/policy_editor.html"

    def gather(self, rows: Sequence[DunningPolicy]) -> Mapping[Any, Mapping[str, Any]]:
        names = name_actors(row.author for row in rows)
        counted = dict(
            db.session.execute(
                select(DunningCase.policy_id, func.count())
                .where(DunningCase.policy_id.in_([row.id for row in rows]))
                .group_by(DunningCase.policy_id)
            ).all()
        )
        read = {row.id: Policy.of(row.rules) for row in rows}
        return {
            row.id: {
                "steps": ", ".join(str(each.day) for each in read[row.id].mailings) or "None",
                "wall": read[row.id].wall_day,
                "end": read[row.id].end_day,
                "cases": counted.get(row.id, 0),
                "author": names.get(row.author, row.author.partition(":")[0].capitalize()),
            }
            for row in rows
        }

    def title_of(self, row: DunningPolicy) -> str:
        return f"Version {row.id}"

    def detail(self, row: DunningPolicy) -> dict[str, Any]:
        policy = Policy.of(row.rules)
        return {
            "gathered": self.gather([row])[row.id],
            "policy": policy,
            "steps": steps_of(policy),
            "words": facts_of(policy),
            "mails": all_mails(),
            "kinds": KIND_TITLES,
            "may_write": self.allows(EDIT),
        }

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Response | tuple[str, int]:
        """A new version, beginning from one there is; beside it what it would have done."""
        posted = request.method == "POST"
        before = self._before()
        form = PolicyForm(request.form if posted else None, data=typed_before(before))
        form.offer(_plans())
        tried: simulating.Simulation | None = None
        if posted and form.validate():
            with self.refusing() as refusal:
                policy = Policy.of(form.rules())
                if request.form.get("also") != "simulate":
                    return self._put_in_force(policy, form.note.data or "")
                tried = try_on_past(policy, form.since.data, form.until.data)
            form.form_errors = [refusal.sentence] if refusal.sentence else []
        wrong = posted and tried is None
        form.spare()
        html = self.render(
            self.create_template,
            form=form,
            row=None,
            tried=tried,
            mails=all_mails(),
            kinds=KIND_TITLES,
            step_title=title_of,
            policy=Policy.of(form.rules()) if tried else before,
        )
        return html, 422 if wrong else 200

    def _before(self) -> Policy:
        """Return what the form begins with: the version asked for, or the one in force."""
        if key := request.args.get("version"):
            return Policy.of(self.get_one(key).rules)
        row = db.session.scalar(select(DunningPolicy).where(DunningPolicy.in_force))
        return Policy.of(row.rules) if row else Policy()

    def _put_in_force(self, policy: Policy, note: str) -> Response:
        row = policies.put_in_force(policy.as_rules(), actor(), note.strip())
        db.session.commit()
        flash(f"{self.title_of(row)} is in force for cases that open from now on.", "success")
        return redirect(self.url_of(row), 303)

    @page("/simulate/")
    def simulate(self) -> str:
        """What a version would have done in past cases, beside what was done in them."""
        row = self.get_one(request.args.get("id", ""))
        policy = Policy.of(row.rules)
        form = PastForm(request.args)
        form.suggest()
        tried: simulating.Simulation | None = None
        why_not = ""
        if form.validate():
            with self.refusing() as refusal:
                tried = try_on_past(policy, form.since.data, form.until.data, _page())
            why_not = refusal.sentence
        html: str = self.render(
            "admin/billing/simulation.html",
            row=row,
            form=form,
            policy=policy,
            tried=tried,
            why_not=why_not,
            step_title=title_of,
            number=_page(),
            size=simulating.PAGE_SIZE,
        )
        return html

    @page("/preview/")
    def preview(self) -> Response:
        """A mail as a made-up customer would read it, as a document of its own for a frame."""
        name, kind = request.args.get("mail", ""), request.args.get("kind", "")
        if name not in all_mails():
            raise NotFound("There is no such mail.")
        chosen = DeclineKind(kind) if kind in set(DeclineKind) else DeclineKind.TRY_AGAIN
        return framed(mails.preview(name, chosen), request.args.get("look_as", ""))

    def statement(self) -> Select[Any]:
        return select(DunningPolicy)


def all_mails() -> dict[str, str]:
    """Return the mails there are to look at, with what each is for."""
    return {**policies.MAILS, mails.EXPIRING: "The card expires soon"}


def try_on_past(
    policy: Policy, since: date | None, until: date | None, number: int = 1
) -> simulating.Simulation:
    """Run a policy over the cases opened on these days (UTC). Raises DomainError."""
    if since is None or until is None or since > until:
        raise DomainError("Choose two days, the earlier one first.")
    if until - since > LONGEST_PAST:
        raise DomainError("Choose at most three years.")
    first = datetime.combine(since, time.min, UTC)
    last = datetime.combine(until + timedelta(days=1), time.min, UTC)
    count = simulating.count_cases(first, last)
    if count > MOST_CASES:
        raise DomainError(
            f"That is {count:,} cases; choose a time with at most {MOST_CASES:,} of them."
        )
    return simulating.simulate(policy, first, last, page=number)


def _plans() -> list[tuple[str, str]]:
    rows = db.session.execute(select(Plan.slug, Plan.name).order_by(Plan.position, Plan.id))
    return [(slug, name) for slug, name in rows]


def _page() -> int:
    at = request.args.get("page", "1")
    return max(1, int(at)) if at.isascii() and at.isdigit() and len(at) < 6 else 1
