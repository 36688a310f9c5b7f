"""Which of several events of one second came last, told by what each says was there before it.

Stripe stamps events with whole seconds, and their ids say nothing of their order. An update names
what it replaced, so the updates of a second form a chain that begins at what was there before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, text
from sqlalchemy.sql.elements import TextClause

from webapp.core.db import db

CREATED = "customer.subscription.created"
DELETED = "customer.subscription.deleted"
# More events of one second than this aren't put to the test of every order.
MOST_TRIED = 7

# The rare seconds in which one subscription was updated more than once; the count alone is read
# from the index.
_CROWDED: TextClause = text("""
    SELECT p.stripe_subscription_id, p.at
    FROM (
        SELECT stripe_subscription_id, at FROM subscription_point
        WHERE NOT idle AND at <= :until GROUP BY stripe_subscription_id, at HAVING count(*) > 1
    ) AS crowd
    JOIN subscription_point AS p
        ON p.stripe_subscription_id = crowd.stripe_subscription_id AND p.at = crowd.at
            AND NOT p.idle
    GROUP BY p.stripe_subscription_id, p.at
    HAVING NOT bool_or(p.event_type = :deleted)
        AND count(*) FILTER (WHERE p.event_type <> :created) > 1
        AND count(DISTINCT (p.status, p.paused, p.stripe_price_id, p.unit_amount, p.quantity,
            p."interval", p.interval_count, p.discounts)) > 1
""")
_OF_THOSE: TextClause = text("""
    SELECT p.id, p.event_id, p.event_type, p.stripe_subscription_id, p.at, p.status,
        p.stripe_price_id, p.quantity, p.paused, p.discounts, p.trial_end, p.cancellation_reason,
        p.previous
    FROM subscription_point AS p
    WHERE p.stripe_subscription_id = ANY (:subscriptions) AND NOT p.idle AND p.at <= :until
    ORDER BY p.stripe_subscription_id, p.at, p.event_id
""").bindparams(bindparam("subscriptions", type_=ARRAY(Text)))


@dataclass(frozen=True, slots=True)
class Event:
    """A point as far as its place in a second depends on it.

    ``state`` is what it says was so after it, ``previous`` what it says it replaced.
    """

    id: int
    event_id: str
    event_type: str
    at: datetime
    state: Mapping[str, Any]
    previous: Mapping[str, Any]


def overruled(until: datetime) -> list[int]:
    """Return the points up to ``until`` that another update of the same second came after.

    Only where that can't be told from the kinds of the events alone; those are left to the query.
    """
    bound = {"until": until, "created": CREATED, "deleted": DELETED}
    crowded = {(row[0], row[1]) for row in db.session.execute(_CROWDED, bound)}
    if not crowded:
        return []
    names = sorted({name for name, _ in crowded})
    rows = db.session.execute(_OF_THOSE, {"subscriptions": names, "until": until})
    lost: list[int] = []
    for name, points in groupby(rows, key=lambda row: row.stripe_subscription_id):
        for events, last in _seconds([_read(point) for point in points]):
            if (name, last.at) in crowded:
                lost += [event.id for event in events if event is not last]
    return lost


def _seconds(events: Sequence[Event]) -> Iterator[tuple[list[Event], Event]]:
    """Yield each second's events with the last of them; ``events`` are of one subscription."""
    state: Mapping[str, Any] | None = None
    for _, group in groupby(events, key=lambda event: event.at):
        second = list(group)
        last = last_of(second, state)
        state = last.state
        yield second, last


def last_of(events: Sequence[Event], before: Mapping[str, Any] | None) -> Event:
    """Return the last of one second's events, ``before`` being the state ahead of that second.

    A pure function of the set: neither their order nor their row numbers matter.
    """
    ordered = sorted(events, key=lambda event: event.event_id)
    ended = [event for event in ordered if event.event_type == DELETED]
    if ended:
        return ended[-1]
    born = [event for event in ordered if event.event_type == CREATED]
    updates = [event for event in ordered if event.event_type != CREATED]
    if not updates:
        return born[-1]
    start = born[-1].state if born else before
    if len(updates) > MOST_TRIED:
        return updates[-1]
    known = [start] if start is not None else []
    # Any of them may be the first: what was between isn't known yet where none fits on the start.
    chains = [_chain(updates, each) for each in [*known, *map(_start_of, updates)]]
    return max(chains, key=len)[-1]


def _start_of(event: Event) -> Mapping[str, Any]:
    return {name: event.previous.get(name, now) for name, now in event.state.items()}


def _chain(left: Sequence[Event], state: Mapping[str, Any]) -> list[Event]:
    """Return the most of the events that fit on one another, beginning at ``state``."""
    best: list[Event] = []
    for event in left:
        if not _replaces(event, state):
            continue
        rest = [other for other in left if other is not event]
        chain = [event, *_chain(rest, event.state)]
        if len(chain) > len(best):
            best = chain
        if len(best) == len(left):
            break
    return best


def _replaces(event: Event, state: Mapping[str, Any]) -> bool:
    """Say whether the event fits on ``state``: what it doesn't name as replaced, it left alone."""
    return all(state[name] == event.previous.get(name, now) for name, now in event.state.items())


def _read(row: Any) -> Event:
    state = {
        "status": str(row.status),
        "price": row.stripe_price_id,
        "quantity": row.quantity,
        "paused": row.paused,
        "discounts": [_id_of(each) for each in row.discounts],
        "trial_end": row.trial_end,
        "reason": row.cancellation_reason,
    }
    return Event(row.id, row.event_id, row.event_type, row.at, state, replaced(row.previous))


def replaced(previous: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Stripe's ``previous_attributes`` tell, in the names of a point's state."""
    found = {name: previous[name] for name in ("status", "quantity") if name in previous}
    for item in (previous.get("items") or {}).get("data", [])[:1]:
        found["quantity"] = item.get("quantity", found.get("quantity"))
        found["price"] = _id_of(item.get("price") or item.get("plan"))
    if "plan" in previous and _id_of(previous["plan"]) is not None:
        found["price"] = _id_of(previous["plan"])
    if "pause_collection" in previous:
        found["paused"] = previous["pause_collection"] is not None
    if "discounts" in previous:
        found["discounts"] = [_id_of(each) for each in previous["discounts"] or []]
    if "trial_end" in previous:
        at = previous["trial_end"]
        found["trial_end"] = None if at is None else datetime.fromtimestamp(at, UTC)
    if "reason" in (previous.get("cancellation_details") or {}):
        found["reason"] = previous["cancellation_details"]["reason"]
    nullable = ("reason", "trial_end")
    return {name: value for name, value in found.items() if name in nullable or value is not None}


def _id_of(thing: Any) -> Any:
    return thing.get("id") if isinstance(thing, Mapping) else thing
