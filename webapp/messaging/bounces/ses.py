"""What Amazon SES says through SNS, as a notification or as a published event.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html. SES writes a Message-ID of
its own; ours is among the original headers, and the return path is the ``source``.
"""

import json
from typing import Any

from webapp.messaging.bounces.judging import judge
from webapp.messaging.bounces.report import MOST_REPORTS, Reading, Report, clean, moment
from webapp.messaging.bounces.verp import codes_in_addresses, codes_in_ids, distinct
from webapp.messaging.models import BounceKind

# Subtypes of a permanent bounce that are about the mailbox and nothing else.
GONE = frozenset({"NoEmail", "Suppressed", "OnAccountSuppressionList", "EmailAddressNotFound"})
NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "virus"})


def read_ses(content: bytes) -> Reading:
    """Return what an SNS message says; other events than bounces and complaints say nothing."""
    try:
        inner = json.loads(json.loads(content)["Message"])
    except (ValueError, KeyError, TypeError):
        # "Successfully validated SNS topic for Amazon SES event publishing."
        return Reading()
    if not isinstance(inner, dict):
        return Reading()
    kind = inner.get("eventType") or inner.get("notificationType")
    mail, about = _dict(inner.get("mail")), _dict(inner.get(str(kind).lower()))
    codes = _codes(mail)
    if kind == "Bounce":
        return Reading(tuple(_bounces(about, codes)))
    if kind == "Complaint" and about.get("complaintFeedbackType") not in NO_COMPLAINT:
        return Reading(tuple(_complaints(about, codes)))
    return Reading()


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else []
    return [each for each in found[:MOST_REPORTS] if isinstance(each, dict)]


def _codes(mail: dict[str, Any]) -> tuple[str, ...]:
    headers = {
        clean(h.get("name")).lower(): clean(h.get("value")) for h in _dicts(mail.get("headers"))
    }
    ids = [headers.get("message-id", ""), clean(_dict(mail.get("commonHeaders")).get("messageId"))]
    return distinct([*codes_in_addresses([clean(mail.get("source"))]), *codes_in_ids(ids)])


def _bounces(bounce: dict[str, Any], codes: tuple[str, ...]) -> list[Report]:
    permanent = bounce.get("bounceType") == "Permanent"
    gone = bounce.get("bounceSubType") in GONE
    reports = []
    for number, person in enumerate(_dicts(bounce.get("bouncedRecipients"))):
        status, said = clean(person.get("status"), 20), clean(person.get("diagnosticCode"))
        if not permanent and person.get("action") not in (None, "", "failed"):
            continue
        judged = judge(status, said)
        hard = permanent and (gone or not status or judged.kind is BounceKind.HARD)
        reports.append(
            Report(
                kind=BounceKind.HARD if hard else BounceKind.SOFT,
                key=f"ses:{clean(bounce.get('feedbackId'))}:{number}",
                codes=codes,
                email=clean(person.get("emailAddress")) or None,
                status=judged.status,
                diagnostic=said or clean(bounce.get("bounceSubType")),
                at=moment(bounce.get("timestamp")),
            )
        )
    return reports


def _complaints(complaint: dict[str, Any], codes: tuple[str, ...]) -> list[Report]:
    kind = clean(complaint.get("complaintFeedbackType"), 40) or "complaint"
    by = clean(complaint.get("userAgent"), 100)
    return [
        Report(
            kind=BounceKind.COMPLAINT,
            key=f"ses:{clean(complaint.get('feedbackId'))}:{number}",
            codes=codes,
            email=clean(person.get("emailAddress")) or None,
            diagnostic=f"{kind} by {by}" if by else kind,
            at=moment(complaint.get("timestamp")),
        )
        for number, person in enumerate(_dicts(complaint.get("complainedRecipients")))
    ]
