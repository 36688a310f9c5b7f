"""The lists that figures open to: what each is called, its columns, and its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import request

from admin.base import Column, Link, Money
from admin.billing.numbers_charts import TITLES
from webapp.accounts.permissions import Permission
from webapp.billing.models import CaseState, Channel, DeclineKind
from webapp.billing.queries.numbers import Kind, Span
from webapp.billing.queries.numbers.flows import LEAVING, LOSING
from webapp.billing.queries.numbers.owed_rows import (
    CasesAsked,
    list_at_risk,
    list_cases,
    list_trials,
)
from webapp.billing.queries.numbers.recovery import NONE
from webapp.billing.queries.numbers.rows import (
    Part,
    Rows,
    list_cohort,
    list_movements,
    list_paying,
)
from webapp.billing.queries.numbers.trials import TrialState
from webapp.core.errors import NotFound

PEOPLE = Permission.MEMBERS_VIEW
FILTERS = ("state", "kind", "code", "step", "channel", "month")
KINDS: dict[str, tuple[Kind, ...]] = {
    "movements": tuple(Kind),
    "churn": tuple(kind for kind in Kind if kind in LEAVING),
    "lost": tuple(kind for kind in Kind if kind in LOSING),
    "lost-net": tuple(kind for kind in Kind if kind is not Kind.NEW),
    **{kind.value: (kind,) for kind in Kind},
}

SUMS = {
    "movements": "All movements",
    "churn": "Customers who left",
    "lost": "Money lost",
    "lost-net": "Money lost, net",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A list behind a figure. ``read`` finds a part of it."""

    title: str
    intro: str
    columns: Sequence[Column]
    read: Callable[[Part], Rows]


def _subscription(row: Any) -> Link:
    return Link(row.subscription, f"subscription:{row.subscription_id or ''}")


def _words(name: str) -> Callable[[Any], str]:
    return lambda row: str(getattr(row, name) or "").replace("_", " ").capitalize()


def _money(name: str) -> Callable[[Any], Money]:
    return lambda row: Money(getattr(row, name), row.currency)


_WHO = Column("email", "Customer", needs=PEOPLE)
_MOVED = (
    Column("at", "When", "moment"),
    Column("moved", "What", read=lambda row: TITLES[row.kind]),
    Column("subscription", "Subscription", "subject", _subscription),
    _WHO,
    Column("plan", "Plan"),
    Column("was", "Was, a month", "money", _money("was")),
    Column("now", "Is, a month", "money", _money("now")),
    Column("change", "Change", "money", _money("change")),
    Column("reason", "Reason", read=_words("reason")),
)
_PAYING = (
    Column("subscription", "Subscription", "subject", _subscription),
    _WHO,
    Column("plan", "Plan"),
    Column("mrr", "A month", "money", _money("mrr")),
    Column("annual", "A year", "money", _money("annual")),
    Column("at", "At that since", "moment"),
)
_COHORT = (
    Column("at", "First paid", "moment"),
    Column("customer", "Customer at Stripe", "code"),
    _WHO,
    Column("first_mrr", "At first, a month", "money", _money("first_mrr")),
    Column("mrr", "At the end, a month", "money", _money("mrr")),
    Column("stays", "Stays", "flag", lambda row: row.mrr > 0),
)
_CASES = (
    Column("at", "Failed", "moment"),
    Column(
        "invoice", "Invoice", "subject", lambda row: Link(row.invoice, f"dunning_case:{row.id}")
    ),
    _WHO,
    Column("amount", "Amount", "money", _money("amount")),
    Column("code", "Decline", "code"),
    Column("kind", "Asks for", read=_words("kind")),
    Column("state", "State", "pill"),
    Column("closed_at", "Closed", "moment"),
    Column("channel", "Came by", read=_words("channel")),
    Column("step", "After", "code"),
)
_TRIALS = (
    Column("at", "Began", "moment"),
    Column("subscription", "Subscription", "subject", _subscription),
    _WHO,
    Column("plan", "Plan"),
    Column("ends_at", "Ends", "moment"),
    Column("state", "State", "pill"),
)


def sheet_of(name: str, span: Span, currency: str) -> Sheet:
    """Return the list of that name, narrowed by what the request says. Raises NotFound."""
    if name in KINDS:
        kinds = KINDS[name]
        return Sheet(
            SUMS.get(name, TITLES[kinds[0]]),
            "Each change of what a customer pays, within these days.",
            _MOVED,
            lambda part: list_movements(span, currency, kinds, part),
        )
    makers = {
        "paying": _paying,
        "before": _before,
        "cohort": _cohort,
        "risk": _risk,
        "cases": _cases,
        "trials": _trials,
    }
    if name not in makers:
        raise NotFound("There is no list of that name.")
    return makers[name](span, currency)


def _paying(span: Span, currency: str) -> Sheet:
    return Sheet(
        "MRR",
        "The subscriptions that money recurs of at the end of the last day.",
        _PAYING,
        lambda part: list_paying(span, currency, part),
    )


def _before(span: Span, currency: str) -> Sheet:
    eve = span.before.date()
    return Sheet(
        "MRR before",
        "The subscriptions that money recurred of right before these days.",
        _PAYING,
        lambda part: list_paying(Span(eve, eve), currency, part),
    )


def _cohort(span: Span, currency: str) -> Sheet:
    month = _month()
    if month is None:
        raise NotFound("Say which month: a cohort is those who first paid in one.")
    return Sheet(
        f"First paid in {month:%B %Y}",
        "What they paid at first, and at the end of the last day.",
        _COHORT,
        lambda part: list_cohort(span, currency, month, part),
    )


def _risk(span: Span, currency: str) -> Sheet:
    return Sheet(
        "Money at risk",
        "Invoices that were being chased at the end of the last day.",
        _CASES,
        lambda part: list_at_risk(span, currency, part),
    )


def _cases(span: Span, currency: str) -> Sheet:
    asked = CasesAsked(
        state=_one_of(CaseState, "state"),
        kind=_one_of(DeclineKind, "kind"),
        code=_word("code"),
        step=_word("step"),
        channel=_one_of([*Channel, NONE], "channel"),
        month=_month(),
    )
    when = f"began in {asked.month:%B %Y}" if asked.month else "began within these days"
    return Sheet(
        "Chased invoices",
        f"Those whose chase {when}, as they stood at the end of the last day.",
        _CASES,
        lambda part: list_cases(span, currency, asked, part),
    )


def _trials(span: Span, currency: str) -> Sheet:
    state = _one_of(TrialState, "state")
    return Sheet(
        "Trials",
        "Trials begun within these days, as they stood at the end of the last day.",
        _TRIALS,
        lambda part: list_trials(span, currency, state, part),
    )


def _word(name: str) -> str:
    return request.args.get(name, "").replace("\0", "")[:80]


def _one_of(known: Any, name: str) -> str:
    """Return a choice of the request; one that isn't known is the address of nothing."""
    value = _word(name)
    if value and value not in {str(each) for each in known}:
        raise NotFound("There is no such choice.")
    return value


def _month() -> date | None:
    value = _word("month")
    if not value:
        return None
    try:
        return date.fromisoformat(f"{value}-01")
    except ValueError:
        raise NotFound("There is no such month.") from None
