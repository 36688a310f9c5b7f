"""Person or machine: decided over all that one recipient's mail met, in whatever order it came.

First each event for itself and by its neighbours' facts; then what came along with a machine, from
the same place or the same program, is that machine too. Verdicts depend on facts alone, never on
earlier verdicts, so judging again with more events gives what judging once with all would have.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from webapp.campaigns.models import TrackingKind
from webapp.campaigns.services.tracking.signs import is_google, is_head, sign_of

# Nobody has a mail before them, reads and presses, so soon after the server took it.
AT_ONCE = timedelta(seconds=3)
# Gmail, too, sometimes fetches pictures on arrival.
GOOGLE_AT_ONCE = timedelta(seconds=5)
# So many different links in so short a time are followed by a program.
BURST, BURST_LINKS = timedelta(seconds=10), 3
VOLLEY, VOLLEY_LINKS = timedelta(milliseconds=700), 2
# All links of a mail (two, then) faster than they can be read.
SWEEP = timedelta(seconds=2)
# Whoever fell into the trap or swept the links is known again for as long; anybody else near it
# only for the moment, as scanners change their address and agent between two requests.
MEMORY = timedelta(minutes=5)
MOMENT = timedelta(seconds=20)
# How far from an event its verdict may look.
REACH = 2 * MEMORY


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as it is judged; ``link`` is None for an open."""

    id: int
    kind: TrackingKind
    link: int | None
    method: str
    agent: str
    network: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """``sent_at`` is None while unknown; ``links`` counts what a person could follow."""

    sent_at: datetime | None
    links: int


def decide(delivery: Delivery, events: Iterable[Seen]) -> dict[int, str]:
    """Return for each event's id what told a machine; empty for a person."""
    ordered = sorted(events, key=lambda event: (event.at, event.id))
    verdicts = {event.id: _alone(event, delivery) for event in ordered}
    # One that gives its name hides no other: a preview beside a reader makes no burst of theirs.
    clicks = [
        event
        for event in ordered
        if event.kind is not TrackingKind.OPEN and verdicts[event.id] != "agent"
    ]
    bursts = _bursts(clicks, delivery)
    for event in clicks:
        if not verdicts[event.id] and event.id in bursts:
            verdicts[event.id] = "burst"
    machines = [event for event in clicks if _is_loud(event, verdicts[event.id])]
    for event in ordered:
        if not verdicts[event.id] and _came_along(event, machines):
            verdicts[event.id] = "with_machine"
    return verdicts


def _alone(event: Seen, delivery: Delivery) -> str:
    if is_head(event.method):
        return "head"
    if event.kind is TrackingKind.TRAP:
        return "trap"
    sign = sign_of(event.kind, event.agent, event.network)
    if sign or delivery.sent_at is None:
        return sign
    soon = event.kind is TrackingKind.OPEN and is_google(event.agent)
    limit = GOOGLE_AT_ONCE if soon else AT_ONCE
    return "at_once" if event.at - delivery.sent_at < limit else ""


def _bursts(clicks: Sequence[Seen], delivery: Delivery) -> set[int]:
    """Return the ids of clicks that came faster than anybody reads."""
    found = _within(clicks, BURST, BURST_LINKS) | _within(clicks, VOLLEY, VOLLEY_LINKS)
    if delivery.links >= 2:
        found |= _within(clicks, SWEEP, delivery.links)
    return found


def _within(clicks: Sequence[Seen], span: timedelta, count: int) -> set[int]:
    """Return the ids of clicks that are among ``count`` different links followed within ``span``.

    A window moves over the clicks, which are sorted by time, once: somebody may follow one link
    hundreds of times.
    """
    found: set[int] = set()
    links: Counter[int | None] = Counter()
    end = 0
    for begin, first in enumerate(clicks):
        while end < len(clicks) and clicks[end].at - first.at <= span:
            links[clicks[end].link] += 1
            end += 1
        if len(links) >= count:
            found.update(click.id for click in clicks[begin:end])
        links[first.link] -= 1
        if not links[first.link]:
            del links[first.link]
    return found


def _is_loud(event: Seen, verdict: str) -> bool:
    """Whether it is a machine that hides, and so does more to a mail than can be told apart.

    One that gives its name is nobody else: a preview or a virus scanner beside a reader.
    """
    hides = not sign_of(event.kind, event.agent, event.network)
    return verdict in ("trap", "burst", "network", "at_once") or (verdict == "head" and hides)


def _came_along(event: Seen, machines: Sequence[Seen]) -> bool:
    for machine in machines:
        apart = abs(machine.at - event.at)
        same_place = bool(event.network) and machine.network == event.network
        same_program = machine.agent == event.agent
        if apart <= MEMORY and same_place and same_program:
            return True
        falls = machine.kind is TrackingKind.TRAP
        if apart <= MOMENT and (same_place or same_program or falls):
            return True
    return False
