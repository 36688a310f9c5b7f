"""What SendGrid's event webhook says: one list of events, of which few are about coming back.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event. SendGrid has a return
path of its own; ``smtp-id`` is the Message-ID that we gave the mail.
"""

import json
from typing import Any

from webapp.messaging.bounces.judging import POLICY, judge
from webapp.messaging.bounces.report import MOST_REPORTS, Reading, Report, clean, moment
from webapp.messaging.bounces.verp import codes_in_ids, distinct
from webapp.messaging.models import BounceKind

# Reasons to drop a mail to somebody who bounced or complained before.
DROPPED = {
    "bounced address": BounceKind.HARD,
    "invalid": BounceKind.HARD,
    "spam reporting address": BounceKind.COMPLAINT,
}


def read_sendgrid(content: bytes) -> Reading:
    """Return the bounces and complaints of a batch of events."""
    try:
        events = json.loads(content)
    except ValueError:
        return Reading(trouble="These events are no JSON.")
    if not isinstance(events, list):
        return Reading(trouble="These events are no list.")
    told = (_report(event) for event in events[:MOST_REPORTS] if isinstance(event, dict))
    return Reading(tuple(report for report in told if report is not None))


def _report(event: dict[str, Any]) -> Report | None:
    kind, status, said = _judged(event)
    event_id = clean(event.get("sg_event_id"), 120)
    if kind is None or not event_id:
        return None
    return Report(
        kind=kind,
        key=f"sendgrid:{event_id}",
        codes=distinct(codes_in_ids([clean(event.get("smtp-id"))])),
        email=clean(event.get("email")) or None,
        status=status,
        diagnostic=said,
        at=moment(event.get("timestamp")),
    )


def _judged(event: dict[str, Any]) -> tuple[BounceKind | None, str, str]:
    said, status = clean(event.get("reason")), clean(event.get("status"), 20)
    match event.get("event"):
        case "spamreport":
            return BounceKind.COMPLAINT, "", "spamreport"
        case "dropped":
            return DROPPED.get(said.lower()), status, said
        case "bounce":
            judged = judge(status, said)
            if event.get("type") == "blocked" and judged.kind is BounceKind.HARD:
                # A block is about the message or about us, whatever the server called it.
                return BounceKind.SOFT, POLICY, said
            return judged.kind, judged.status, said
        case _:
            return None, "", ""
