"""Every figure of recurring money for a span of days, gathered once for whoever shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.billing.queries.numbers.flows import (
    Cohort,
    Flow,
    Kind,
    Month,
    Roll,
    cohorts_of,
    list_flows,
    months_of,
    roll_of,
)
from webapp.billing.queries.numbers.recovery import Recoveries, Risk, recoveries_of, risk_of
from webapp.billing.queries.numbers.spans import Span
from webapp.billing.queries.numbers.trials import Trials, trials_of
from webapp.core import clock

MONTHS = 12


@dataclass(frozen=True, slots=True)
class Figures:
    """What the page, the command and the dashboard show. Amounts in minor units of ``currency``.

    ``others``: further currencies in which money recurs.
    """

    span: Span
    currency: str
    others: tuple[str, ...]
    counted_at: datetime
    roll: Roll
    months: tuple[Month, ...]
    cohorts: tuple[Cohort, ...]
    recoveries: Recoveries
    risk: Risk
    trials: Trials

    @property
    def lifetime_value(self) -> int | None:
        return self.roll.lifetime_value(self.span.days)


def figures_of(span: Span, currency: str) -> Figures:
    """Return the figures as they were at the end of the span, reproducibly for any past day."""
    flows = list_flows(span)
    ours = [flow for flow in flows if flow.currency == currency]
    return Figures(
        span=span,
        currency=currency,
        others=_others(flows, currency),
        counted_at=clock.now(),
        roll=roll_of(
            (flow for flow in ours if not flow.within), (flow for flow in ours if flow.within)
        ),
        months=tuple(months_of(ours, span.until, MONTHS)),
        cohorts=tuple(cohorts_of(ours, span.until, MONTHS)),
        recoveries=recoveries_of(span, currency),
        risk=risk_of(span, currency),
        trials=trials_of(span, currency),
    )


def _others(flows: Sequence[Flow], currency: str) -> tuple[str, ...]:
    return tuple(sorted({flow.currency for flow in flows} - {currency}))


def in_brief(figures: Figures) -> dict[str, Any]:
    """Return the figures as plain JSON: amounts in minor units, rates as parts of 1."""
    roll, risk, trials = figures.roll, figures.risk, figures.trials
    whole = figures.recoveries.whole
    return {
        "since": figures.span.since.isoformat(),
        "until": figures.span.until.isoformat(),
        "currency": figures.currency,
        "counted_at": figures.counted_at.isoformat(),
        "mrr": roll.end.mrr,
        "mrr_before": roll.start.mrr,
        "arr": roll.end.annual,
        "customers": roll.end.customers,
        "customers_before": roll.start.customers,
        "movements": {
            each.kind.value: {"count": each.count, "mrr": each.monthly} for each in roll.movements
        },
        "churn": roll.churn,
        "churn_voluntary": roll.churn_of([Kind.VOLUNTARY]),
        "churn_involuntary": roll.churn_of([Kind.INVOLUNTARY]),
        "mrr_loss_gross": roll.gross_loss,
        "mrr_loss_net": roll.net_loss,
        "arpa": roll.end.arpa,
        "lifetime_value": figures.lifetime_value,
        "at_risk": {"cases": risk.cases, "amount": risk.amount, "walled": risk.walled},
        "recovery": {
            "cases": whole.cases,
            "amount": whole.amount,
            "recovered": whole.recovered,
            "recovered_amount": whole.recovered_amount,
            "rate": whole.rate,
            "amount_rate": whole.amount_rate,
        },
        "trials": {
            "begun": trials.begun,
            "converted": trials.converted,
            "running": trials.running,
            "lost": trials.lost,
            "rate": trials.rate,
        },
        "months": [
            {"month": f"{each.first:%Y-%m}", "mrr": each.roll.end.mrr} for each in figures.months
        ],
    }
