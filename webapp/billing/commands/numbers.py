"""The numbers of recurring money from the shell, for today or for any past day."""

import json
from datetime import UTC, date, datetime

import click
from flask.cli import with_appcontext

from webapp.billing.queries.numbers import Figures, Kind, Span, figures_of, in_brief, last_days
from webapp.core import clock
from webapp.core.money import format_money
from webapp.core.shop import get_shop

DAY = click.DateTime(["%Y-%m-%d"])


@click.command("numbers")
@click.option("--at", type=DAY, help="The last day, in UTC; today without it.")
@click.option("--since", type=DAY, help="The first day; 30 days with the last one without it.")
@click.option("--currency", help="ISO 4217, like usd; the shop's without it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, amounts in minor units.")
@with_appcontext
def numbers(
    at: datetime | None, since: datetime | None, currency: str | None, as_json: bool
) -> None:
    """Print MRR, its movements, churn, recovery and trials as they were at a day's end."""
    figures = figures_of(_span(at, since), (currency or get_shop().currency).lower())
    if as_json:
        click.echo(json.dumps(in_brief(figures), indent=2))
        return
    for title, text in _lines(figures):
        click.echo(f"{title:28}{text}")


def _span(at: datetime | None, since: datetime | None) -> Span:
    until = _day(at) or clock.now().date()
    span = Span(_day(since) or last_days(30, until).since, until)
    if span.since > span.until:
        raise click.UsageError("The first day comes after the last.")
    return span


def _day(given: datetime | None) -> date | None:
    return given.replace(tzinfo=UTC).date() if given else None


def _lines(figures: Figures) -> list[tuple[str, str]]:
    roll, span, money = figures.roll, figures.span, figures.currency
    whole, trials = figures.recoveries.whole, figures.trials

    def amount(of: int | None) -> str:
        return "-" if of is None else format_money(of, money)

    moved = [
        (f"  {each.kind.value}", f"{amount(each.monthly)}  ({each.count:,})")
        for each in roll.movements
    ]
    return [
        ("From", f"{span.since} to {span.until}, UTC"),
        ("MRR before", f"{amount(roll.start.mrr)}  ({roll.start.customers:,} customers)"),
        *moved,
        ("MRR", f"{amount(roll.end.mrr)}  ({roll.end.customers:,} customers)"),
        ("Churn", _rate(roll.churn)),
        ("  voluntary", _rate(roll.churn_of([Kind.VOLUNTARY]))),
        ("  involuntary", _rate(roll.churn_of([Kind.INVOLUNTARY]))),
        ("Money lost, gross and net", f"{_rate(roll.gross_loss)}  {_rate(roll.net_loss)}"),
        ("Per customer", amount(roll.end.arpa)),
        ("Lifetime value", amount(figures.lifetime_value)),
        ("Money at risk", f"{amount(figures.risk.amount)}  ({figures.risk.cases:,} cases)"),
        ("Recovered", f"{_rate(whole.rate)} of cases, {_rate(whole.amount_rate)} of money"),
        ("Trials that pay", f"{_rate(trials.rate)}  ({trials.begun:,} begun)"),
    ]


def _rate(part: float | None) -> str:
    return "-" if part is None else f"{part:.1%}"
