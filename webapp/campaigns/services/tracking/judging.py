"""Judges opens and clicks a little after they came, and tells each recipient's first real ones.

An event that comes late may show its neighbours in another light: with it, those within its reach
are judged again. So the verdicts are the same in whatever order events arrive.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import func, select, text

from webapp.campaigns.models import TrackingKind
from webapp.campaigns.services.tracking.verdicts import REACH, Delivery, Seen, decide
from webapp.core import clock
from webapp.core.db import db

# By then a scanner has shown what it is, and what else it did has arrived.
WAIT = timedelta(seconds=30)
# Until when an event waits for its mail's delivery to be written down.
PATIENCE = timedelta(minutes=5)
BATCH = 2000
# Nobody opens a mail so often: what is more isn't even looked at.
FLOOD = 500
TURN = 0x4A55_4447  # any constant: advisory locks are per database, so per fork

Key = tuple[int, int]


def judge() -> int:
    """Decide about up to ``BATCH`` events that waited long enough; returns how many.

    Flushes. Returns 0 also when another worker is at it.
    """
    if not db.session.scalar(select(func.pg_try_advisory_xact_lock(TURN))):
        return 0
    now = clock.now()
    bound = {"before": now - WAIT, "given_up": now - PATIENCE, "limit": BATCH}
    due = db.session.execute(_DUE, bound).all()
    if not due:
        return 0
    spans = _spans(due)
    flooded = _condemn_floods(spans)
    waiting = {row.id for row in due}
    _judge_each({key: span for key, span in spans.items() if key not in flooded}, waiting)
    _note_firsts(spans)
    return len(due)


def _spans(due: Sequence[Any]) -> dict[Key, tuple[datetime, datetime]]:
    """Return from when to when each recipient has events to be decided."""
    times: dict[Key, list[datetime]] = defaultdict(list)
    for row in due:
        times[row.email_id, row.recipient_id].append(row.at)
    return {key: (min(each), max(each)) for key, each in times.items()}


def _judge_each(spans: dict[Key, tuple[datetime, datetime]], waiting: set[int]) -> None:
    """Decide about the events of each recipient, those around the waiting ones again."""
    verdicts: list[dict[str, Any]] = []
    for key, rows in _load(spans).items():
        first, last = spans[key]
        delivery = Delivery(rows[0].sent_at, rows[0].links)
        found = decide(delivery, [_seen(row) for row in rows])
        for row in rows:
            told = row.human is not None and first - REACH <= row.at <= last + REACH
            why = found[row.id]
            if (told or row.id in waiting) and (row.human, row.why) != (not why, why):
                verdicts.append({"id": row.id, "human": not why, "why": why})
    if verdicts:
        # One order for all who write here.
        verdicts.sort(key=lambda verdict: verdict["id"])
        db.session.execute(_WRITE, {"verdicts": json.dumps(verdicts)})


def _load(spans: dict[Key, tuple[datetime, datetime]]) -> dict[Key, list[Any]]:
    """Return all events that a verdict may look at, by recipient."""
    # What is judged again lies within REACH, and looks as far again.
    bound = _bound((key, (a - 2 * REACH, b + 2 * REACH)) for key, (a, b) in spans.items())
    loaded: dict[Key, list[Any]] = defaultdict(list)
    for row in db.session.execute(_EVENTS, bound):
        loaded[row.email_id, row.recipient_id].append(row)
    return loaded


def _seen(row: Any) -> Seen:
    kind = TrackingKind(row.kind)
    return Seen(row.id, kind, row.link, row.method, row.agent, row.network, row.at)


def _condemn_floods(spans: dict[Key, tuple[datetime, datetime]]) -> set[Key]:
    """Call all a machine's where one recipient's events are too many to be compared."""
    bound = _bound((key, (a - 2 * REACH, b + 2 * REACH)) for key, (a, b) in spans.items())
    found = db.session.execute(_FLOODS, {**bound, "most": FLOOD}).all()
    if found:
        keys = {(row.email_id, row.recipient_id): (row.first, row.last) for row in found}
        db.session.execute(_CONDEMN, _bound(keys.items()))
    return {(row.email_id, row.recipient_id) for row in found}


def _note_firsts(keys: Iterable[Key]) -> None:
    db.session.execute(_FIRSTS, _bound((key, None) for key in sorted(keys)))


def _bound(spans: Iterable[tuple[Key, Any]]) -> dict[str, str]:
    rows = []
    for (email_id, recipient_id), span in spans:
        row: dict[str, Any] = {"email_id": email_id, "recipient_id": recipient_id}
        if span is not None:
            first, last = cast("tuple[datetime, datetime]", span)
            row |= {"first": first.isoformat(), "last": last.isoformat()}
        rows.append(row)
    return {"spans": json.dumps(rows)}


_SPANS = """jsonb_to_recordset(CAST(:spans AS jsonb))
    AS s(email_id bigint, recipient_id bigint, first timestamptz, last timestamptz)"""

_DUE = text("""
    SELECT e.id, e.email_id, e.recipient_id, e.at
    FROM tracking_event e
    JOIN email_recipient r ON r.email_id = e.email_id AND r.id = e.recipient_id
    WHERE e.human IS NULL AND e.received_at <= :before
        AND (r.state NOT IN ('pending', 'claimed') OR e.received_at <= :given_up)
    ORDER BY e.received_at LIMIT :limit
""")

_EVENTS = text(f"""
    SELECT e.id, e.email_id, e.recipient_id, e.kind, e.link, e.method, e.agent, e.network, e.at,
        e.human, e.why, r.sent_at, (
            SELECT count(DISTINCT l.url) FROM email_link l
            WHERE l.email_id = r.email_id AND l.variant = r.variant AND NOT l.trap
        ) AS links
    FROM {_SPANS}
    JOIN email_recipient r ON r.email_id = s.email_id AND r.id = s.recipient_id
    JOIN tracking_event e ON e.email_id = s.email_id AND e.recipient_id = s.recipient_id
        AND e.at BETWEEN s.first AND s.last
    ORDER BY e.id
""")

_FLOODS = text(f"""
    SELECT s.email_id, s.recipient_id, s.first, s.last
    FROM {_SPANS}
    JOIN tracking_event e ON e.email_id = s.email_id AND e.recipient_id = s.recipient_id
        AND e.at BETWEEN s.first AND s.last
    GROUP BY 1, 2, 3, 4 HAVING count(*) > :most
""")

_CONDEMN = text(f"""
    UPDATE tracking_event e SET human = false, why = 'flood'
    FROM {_SPANS}
    WHERE e.email_id = s.email_id AND e.recipient_id = s.recipient_id
        AND e.at BETWEEN s.first AND s.last AND e.human IS DISTINCT FROM false
""")

_WRITE = text("""
    UPDATE tracking_event e SET human = v.human, why = v.why
    FROM jsonb_to_recordset(CAST(:verdicts AS jsonb)) AS v(id bigint, human boolean, why text)
    WHERE e.id = v.id
""")

# A human click implies that the mail was opened, also where pictures are not shown.
_FIRSTS = text(f"""
    UPDATE email_recipient r SET opened_at = f.opened_at, clicked_at = f.clicked_at
    FROM (
        SELECT s.email_id, s.recipient_id, min(e.at) AS opened_at,
            min(e.at) FILTER (WHERE e.kind = 'click') AS clicked_at
        FROM {_SPANS}
        LEFT JOIN tracking_event e ON e.email_id = s.email_id
            AND e.recipient_id = s.recipient_id AND e.human
        GROUP BY 1, 2
    ) f
    WHERE r.email_id = f.email_id AND r.id = f.recipient_id
        AND (r.opened_at, r.clicked_at) IS DISTINCT FROM (f.opened_at, f.clicked_at)
""")
