"""The numbers of recurring money: MRR and its movements, churn, recovery, trials, cohorts."""

from webapp.billing.queries.numbers.figures import Figures, figures_of, in_brief
from webapp.billing.queries.numbers.flows import Kind, Roll, monthly
from webapp.billing.queries.numbers.recovery import Recovery
from webapp.billing.queries.numbers.spans import Span, last_days

__all__ = [
    "Figures",
    "Kind",
    "Recovery",
    "Roll",
    "Span",
    "figures_of",
    "in_brief",
    "last_days",
    "monthly",
]
