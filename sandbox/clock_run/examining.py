"""What must be true after a clock run, and the report that says whether it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sandbox.clock_run.arrivals import Arrivals
from sandbox.clock_run.asking import ask
from sandbox.clock_run.books import Books
from sandbox.clock_run.chasing import Chase
from sandbox.clock_run.days import FIRST_DAY
from sandbox.clock_run.debts import read_debts
from sandbox.clock_run.entitled import Entitled
from sandbox.clock_run.living import Town
from sandbox.clock_run.mirror import Mirror
from sandbox.clock_run.outcome import outcome_of
from sandbox.clock_run.revenue import Revenue, read_revenue
from sandbox.clock_run.stripe import Json
from sandbox.steps import Steps

DATES = 9
SHOWN = 40
#: From so many customers and days on, everything that can happen does.
LARGE = (100, 200)
SUCCEEDED = ("done", "completed")

EVENTS = """
    SELECT count(*), count(*) FILTER (WHERE state = 'pending'),
           count(*) FILTER (WHERE state = 'parked') FROM stripe_event
"""


@dataclass(slots=True)
class Report:
    """One sentence for each thing that does not hold, and figures of what was seen."""

    figures: dict[str, Any] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    outcome: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "holds": not self.breaches,
            "figures": self.figures,
            "breaches": self.breaches,
            "outcome": self.outcome,
        }

    def show(self, steps: Steps) -> None:
        steps.say()
        for name, figure in self.figures.items():
            steps.say(f"  {name:16} {figure}")
        steps.say()
        for breach in self.breaches[:SHOWN]:
            steps.say(f"  x {breach}")
        if len(self.breaches) > SHOWN:
            steps.say(f"  and {len(self.breaches) - SHOWN} more.")
        if not self.breaches:
            steps.say("  All of it holds.")


@dataclass(slots=True)
class Scene:
    """Who lived, what Stripe has of them, and what they were worth."""

    town: Town
    books: Books
    revenue: Revenue


def examine(town: Town) -> Report:
    """Hold the shop's rows against the sandbox's objects, the policy and the mailbox."""
    report = Report(breaches=list(town.breaches), outcome=outcome_of(town.site))
    report.figures["customers"] = len(town.people)
    report.figures["deeds"] = ", ".join(f"{n} {what}" for what, n in sorted(town.deeds.items()))
    books = Books(town.stripe)
    scene = Scene(town, books, read_revenue(town.stripe, books.events))
    looks: list[Callable[[Scene, Report], None]] = [
        _see_events,
        _see_mirror,
        _see_chase,
        _see_revenue,
    ]
    for look in looks:
        look(scene, report)
    days = (town.days.now() - FIRST_DAY).days + 1
    if len(town.people) >= LARGE[0] and days >= LARGE[1]:
        _see_that_much_happened(scene, report)
    return report


def _see_events(scene: Scene, report: Report) -> None:
    count, pending, parked = scene.town.site.ask(EVENTS)[0]
    inbox = scene.town.days.inbox
    report.figures["events"] = (
        f"{count}, {pending} waiting, {parked} parked; {inbox.seen} seen in the inbox as they came"
    )
    report.breaches += inbox.breaches
    if pending or parked:
        report.breaches.append(f"{pending} events wait and {parked} are parked.")
    if not inbox.seen:
        report.breaches.append("No event was ever looked for in the inbox.")


def _see_mirror(scene: Scene, report: Report) -> None:
    mirror = Mirror(scene.town.site, scene.books, scene.revenue.given)
    mirror.compare()
    report.breaches += mirror.breaches
    report.figures |= mirror.alike


def _see_chase(scene: Scene, report: Report) -> None:
    """The cases, their mails, and who may use what meanwhile."""
    town = scene.town
    chase = Chase(town.site, read_debts(scene.books), town.days.looks)
    chase.examine()
    arrivals = Arrivals(town.site, town.mailbox, forgiving=town.site.mortal)
    arrivals.examine(chase.cases, chase.steps)
    entitled = Entitled(town.site, scene.books, chase.walls())
    report.figures |= arrivals.told | chase.told | {"entitled": entitled.examine()}
    report.breaches += chase.breaches + arrivals.breaches + entitled.breaches


def _see_revenue(scene: Scene, report: Report) -> None:
    """The MRR of past days, reckoned by two who share no code; and what the doctor finds."""
    town, revenue = scene.town, scene.revenue
    _see_points(scene, report)
    told = ask(town.site, _days(scene))
    shown = []
    for day, numbers in told["numbers"].items():
        end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1, seconds=-1)
        wanted = revenue.at(min(end, town.days.now()))
        shown.append(f"{day} {wanted / 100:.2f}")
        if wanted != numbers["mrr"]:
            report.breaches.append(
                f"The MRR of {day} is {numbers['mrr']} here and {wanted} by Stripe's events."
            )
        moved = sum(movement["mrr"] for movement in numbers["movements"].values())
        if numbers["mrr_before"] + moved != numbers["mrr"]:
            report.breaches.append(f"The movements until {day} don't sum up to its MRR.")
    report.figures["MRR"] = ", ".join(shown)
    _hear_doctor(told["checks"], report)


def _days(scene: Scene) -> list[date]:
    span = scene.town.days.looks[-1].ended - FIRST_DAY
    return sorted({(FIRST_DAY + span * n / DATES).date() for n in range(1, DATES + 1)})


def _see_points(scene: Scene, report: Report) -> None:
    wanted = sum(len(life) for life in scene.revenue.lives.values())
    found = scene.town.site.ask("SELECT count(*) FROM subscription_point")[0][0]
    report.figures["points"] = f"{found} of {wanted} events of subscriptions"
    if wanted != found:
        report.breaches.append(f"{found} points are kept of {wanted} events of subscriptions.")


def _hear_doctor(checks: list[Json], report: Report) -> None:
    """A check that could not be made holds as little as one that is broken."""
    for check in checks:
        if check["ok"] is None:
            report.breaches.append(f"The doctor could not tell: {check['rule']}")
        elif not check["ok"]:
            report.breaches.append(
                f"The doctor: {check['rule']} Broken by {check['count']}: {check['broken_by'][:3]}."
            )
    report.figures["doctor"] = f"{sum(c['ok'] is True for c in checks)} of {len(checks)} hold"


def _see_that_much_happened(scene: Scene, report: Report) -> None:
    """A shop in which nobody ever gets what they want, or owes anything, proves nothing."""
    deeds = scene.town.deeds
    asked_for = {what.rpartition(": ")[0] for what in deeds}
    for what in sorted(asked_for):
        if not any(deeds[f"{what}: {outcome}"] for outcome in SUCCEEDED):
            report.breaches.append(f"Nobody ever did it, of all who tried: {what}.")
    states = report.outcome["cases"]
    happened = {
        "a recovered case": any("| recovered |" in case for case in states),
        "a lost case": any("| lost |" in case for case in states),
        "a discount": bool(scene.revenue.given),
        "any revenue": scene.revenue.at(scene.town.days.now()) > 0,
    }
    report.breaches += [
        f"In all that time there was never {what}." for what in happened if not happened[what]
    ]
