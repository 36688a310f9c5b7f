"""The room of dunning cases: the money at risk, what was sent for it, what comes next by itself."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, union
from sqlalchemy.orm import joinedload
from werkzeug import Response

from admin.base import Column, Filter, Money, action, page
from admin.billing import case_deeds as deeds
from admin.billing.asking import Asking
from admin.billing.customers import (
    ids_of_customers,
    member_url,
    stripe_url,
    subscription_link,
    whole,
)
from admin.billing.declined import KIND_TITLES, words_for
from admin.billing.schedule import schedule_of
from admin.billing.story import About, tell
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.billing.models import (
    CaseState,
    DeclineKind,
    DunningCase,
    Invoice,
)
from webapp.billing.queries.belated import paid_yet_ended
from webapp.billing.queries.dunning import cases_with_all
from webapp.billing.queries.numbers.recovery import risks_at
from webapp.billing.services.dunning import acting
from webapp.core import clock
from webapp.core.db import db

ACT = Permission.BILLING_ACT

CONDITIONS: dict[str, ColumnElement[bool]] = {
    "chased": (DunningCase.state == CaseState.OPEN) & DunningCase.excluded_reason.is_(None),
    "walled": (DunningCase.state == CaseState.OPEN) & DunningCase.walled_at.is_not(None),
    "paused": (DunningCase.state == CaseState.OPEN) & DunningCase.paused_at.is_not(None),
    "excluded": (DunningCase.state == CaseState.OPEN) & DunningCase.excluded_reason.is_not(None),
    "belated": paid_yet_ended(),
}


def _narrow(value: str) -> ColumnElement[bool]:
    if value in CONDITIONS:
        return CONDITIONS[value]
    return DunningCase.state == CaseState(value)


@dataclass(frozen=True, slots=True)
class Held:
    """How many open cases nothing is sent in, and why."""

    paused: int
    excluded: int


def count_held() -> Held:
    counts = select(func.count(DunningCase.paused_at), func.count(DunningCase.excluded_reason))
    row = db.session.execute(counts.where(DunningCase.state == CaseState.OPEN)).one()
    return Held(*row)


def how_held(row: DunningCase) -> str | None:
    """Say why nothing is sent in an open case."""
    if row.state is not CaseState.OPEN:
        return None
    if row.excluded_reason is not None:
        return "excluded"
    return "paused" if row.paused_at is not None else None


def is_belated(row: DunningCase) -> bool:
    """Whether the money came, and the subscription was ended all the same."""
    found = select(DunningCase.id).where(DunningCase.id == row.id, CONDITIONS["belated"])
    return db.session.scalar(found) is not None


class Cases(Asking):
    """One row per unpaid invoice that is or was chased."""

    noun = "case"
    may_see = Permission.MEMBERS_VIEW
    empty = "No payment has failed yet. When one does, its case is opened and followed here."
    search_hint = "Email, invoice's number or case's number"
    columns = (
        Column("customer", "Customer", "text", lambda row: row.customer.email or "Erased"),
        Column("state", "State", "pill"),
        Column("held", "Held", "pill", how_held),
        Column("amount", "At risk", "money", lambda row: Money(row.amount, row.currency)),
        Column("decline", "Refused", "text", lambda row: words_for(row.decline_code, None)),
        Column("kind", "Kind", "text", lambda row: KIND_TITLES[row.decline_kind]),
        Column("opened_at", "Since", "moment", sort=DunningCase.id),
        Column("next_due_at", "Next step", "moment"),
        Column("walled_at", "Wall since", "moment"),
    )
    filters = (
        Filter(
            "state",
            "State",
            [
                *((each.value, each.value.replace("_", " ").capitalize()) for each in CaseState),
                ("chased", "Open, chased"),
                ("walled", "Open, behind the wall"),
                ("paused", "Open, paused"),
                ("excluded", "Open, excluded"),
                ("belated", "Paid, yet ended"),
            ],
            _narrow,
        ),
        Filter(
            "kind",
            "Refusal",
            [(kind.value, title) for kind, title in KIND_TITLES.items()],
            lambda value: DunningCase.decline_kind == DeclineKind(value),
        ),
    )
    list_template = "admin/billing/cases.html"
    details_template = "admin/billing/case.html"

    def statement(self) -> Select[Any]:
        return select(DunningCase).options(joinedload(DunningCase.customer))

    def load(self, key: Any) -> DunningCase | None:
        one = cases_with_all().where(DunningCase.id == key)
        row: DunningCase | None = db.session.scalar(one.execution_options(populate_existing=True))
        return row

    def search(self, text: str) -> ColumnElement[bool]:
        invoices = select(Invoice.id).where(
            Invoice.stripe_id == text
            if text.startswith("in_")
            else Invoice.number.in_([text, text.upper()])
        )
        found = [
            select(DunningCase.id).where(DunningCase.invoice_id.in_(invoices)),
            select(DunningCase.id).where(DunningCase.customer_id.in_(ids_of_customers(text))),
        ]
        if (key := whole(text)) is not None:
            found.append(select(DunningCase.id).where(DunningCase.id == key))
        return DunningCase.id.in_(union(*found))

    def render(self, template: str, **kwargs: Any) -> str:
        if template == self.list_template:
            kwargs |= {"at_risk": risks_at(clock.now()), "held": count_held()}
        return super().render(template, **kwargs)

    def title_of(self, row: DunningCase) -> str:
        return f"Case {row.id}: {row.customer.email or 'Erased'}"

    def person_of(self, row: DunningCase) -> Any:
        return row.customer.user_id

    def detail(self, row: DunningCase) -> dict[str, Any]:
        schedule = schedule_of(row)
        return {
            "held": how_held(row),
            "is_belated": is_belated(row),
            "schedule": schedule.lines,
            "zone": schedule.zone,
            "refusal": words_for(row.decline_code, row.decline_kind),
            "story": tell(About(f"case:{row.id}", [row.invoice], [row])),
            "member_url": member_url(row.customer.user_id),
            "subscription": subscription_link(row.subscription),
            "stripe_url": stripe_url("invoices", row.invoice.stripe_id, row.invoice.livemode),
            "deeds": self._deeds(row) if self.allows(ACT) else [],
        }

    def _deeds(self, row: DunningCase) -> list[tuple[str, str, bool]]:
        pages = (
            ("Charge it now", ".try_now", deeds.TRY_NOW, False),
            ("Pause", ".pause", deeds.PAUSE, False),
            ("Exclude", ".exclude", deeds.EXCLUDE, False),
            ("Write it off", ".write_off", deeds.WRITE_OFF, True),
        )
        return [
            (title, self.get_url(endpoint, id=row.id), danger)
            for title, endpoint, deed, danger in pages
            if deed.refuse(row) is None
        ]

    @page("/try-now/", read=ACT, write=ACT)
    def try_now(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.TRY_NOW)

    @page("/pause/", read=ACT, write=ACT)
    def pause(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.PAUSE)

    @page("/exclude/", read=ACT, write=ACT)
    def exclude(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.EXCLUDE)

    @page("/write-off/", read=ACT, write=ACT)
    def write_off(self) -> Response | tuple[str, int]:
        return self.deliberate(deeds.WRITE_OFF)

    @action(
        "Go on",
        permission=ACT,
        verb=None,
        tone="primary",
        when=lambda row: row.state is CaseState.OPEN and row.paused_at is not None,
    )
    def unpause(self, row: DunningCase) -> str:
        acting.unpause(row.id, actor())
        return f"Case {row.id} goes on where it stopped."

    @action(
        "Chase it after all",
        permission=ACT,
        verb=None,
        tone="primary",
        when=lambda row: row.state is CaseState.OPEN and row.excluded_reason is not None,
    )
    def include(self, row: DunningCase) -> str:
        acting.include(row.id, actor())
        return f"Case {row.id} is chased like any other."
