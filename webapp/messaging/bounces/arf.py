"""Complaints: RFC 5965's feedback reports, and the plain kind that Hotmail used to send."""

from webapp.messaging.bounces.dsn import address_in
from webapp.messaging.bounces.message import Mail, blocks_of, find_part, value
from webapp.messaging.bounces.report import Reading, Report, clean, moment
from webapp.messaging.bounces.returned import WHOLE, codes_of, returned_fields
from webapp.messaging.models import BounceKind

TYPE = "message/feedback-report"
# RFC 5965, 7.3, and RFC 6591: what a filter or a check found, or somebody called no spam.
NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "virus", "dmarc"})
HOTMAIL = "complaint about message from"


def read_arf(message: Mail, key: str) -> Reading | None:
    """Return what a complaint says; None when the message is none.

    RFC 5965, 3.1: a kind of feedback that nobody knows is read as any other feedback.
    """
    part = find_part(message, TYPE)
    if part is None:
        return _read_hotmail(message, key)
    fields: dict[str, str] = {}
    for block in blocks_of(part):
        fields = block | fields
    kind = clean(fields.get("feedback-type", ""), 40).lower()
    if kind in NO_COMPLAINT:
        return Reading()
    by = clean(fields.get("user-agent", ""), 100)
    complaint = Report(
        kind=BounceKind.COMPLAINT,
        key=f"{key}:0",
        codes=codes_of(message, [fields.get("original-mail-from", "")]),
        email=address_in(fields.get("original-rcpt-to", "")) or _written_to(message),
        diagnostic=" by ".join(part for part in (kind or "other", by) if part),
        at=moment(fields.get("received-date") or fields.get("arrival-date")),
    )
    return Reading((complaint,))


def _written_to(message: Mail) -> str | None:
    return address_in(returned_fields(message).get("to", ""))


def _read_hotmail(message: Mail, key: str) -> Reading | None:
    subject = value(message, "Subject").lower()
    if not subject.startswith(HOTMAIL) or find_part(message, *WHOLE) is None:
        return None
    complaint = Report(
        kind=BounceKind.COMPLAINT,
        key=f"{key}:0",
        codes=codes_of(message, []),
        email=_written_to(message),
        diagnostic="complaint",
        at=moment(value(message, "Date")),
    )
    return Reading((complaint,))
