"""The story of one mail to one person, from when they were chosen to what they bought."""

from collections.abc import Iterator

from flask import url_for
from sqlalchemy import select

from admin.timeline import Entry
from webapp.accounts.queries.naming import name_people
from webapp.campaigns.codes import write_code
from webapp.campaigns.models import (
    NOT_YET,
    Email,
    EmailLink,
    EmailOrder,
    EmailRecipient,
    EmailState,
    EmailUnsubscribe,
    LeaveReason,
    LeaveWay,
    OrderCredit,
    RecipientState,
    SendLease,
    TrackingEvent,
    TrackingKind,
)
from webapp.core.audit_reading import list_about, words
from webapp.core.db import db
from webapp.core.money import format_money
from webapp.messaging.models import BounceKind, MailBounce
from webapp.orders.models import Order

MOST = 200
ACTS = {
    TrackingKind.OPEN: "Opened",
    TrackingKind.CLICK: "Clicked",
    TrackingKind.TRAP: "Followed the link that no person sees",
}
REASONS = {
    LeaveReason.NO_LONGER: "No longer wanted",
    LeaveReason.NEVER_SIGNED_UP: "Never signed up",
    LeaveReason.INAPPROPRIATE: "Inappropriate",
    LeaveReason.SPAM: "Called it spam",
    LeaveReason.OTHER: "Another reason",
    LeaveReason.UNSAID: "Gave no reason",
}
WAYS = {
    LeaveWay.HEADER: "by their mail program's button",
    LeaveWay.PAGE: "on the shop's page",
}
BOUNCES = {
    BounceKind.HARD: ("Bounced for good", "bad"),
    BounceKind.SOFT: ("Bounced for now", "warn"),
    BounceKind.COMPLAINT: ("Complained: called it spam", "bad"),
}


def tell(row: EmailRecipient, email: Email) -> list[Entry]:
    """Return everything that was written down about it, oldest first."""
    entries: list[Entry] = []
    if email.populated_at is not None:
        due = _waits_for(row, email)
        entries.append(Entry(email.populated_at, "Chosen as a recipient", due, None, "audience"))
    entries += _sending(row)
    entries += _events(row)
    entries += _bounces(row)
    entries += _leaving(row)
    entries += _orders(row)
    entries += _audit(row)
    return sorted(entries, key=lambda entry: entry.at)


def _waits_for(row: EmailRecipient, email: Email) -> str | None:
    if row.state is not RecipientState.PENDING:
        return None
    if email.state is EmailState.CANCELLED:
        return "the mail was cancelled before it came to them"
    if row.due_at >= NOT_YET:
        return "waits for the better of the tested versions"
    return f"due {row.due_at:%Y-%m-%d %H:%M} UTC"


def _sending(row: EmailRecipient) -> Iterator[Entry]:
    lease = db.session.get(SendLease, row.lease_id) if row.lease_id is not None else None
    if lease is not None:
        others = {1: "alone", 2: "with 1 other"}.get(lease.size, f"with {lease.size - 1:,} others")
        told = f"{others}, lease {lease.id}"
        yield Entry(lease.created_at, "Taken by a worker", told, None, "sending")
    tries = "" if row.attempts < 2 else f" at try {row.attempts}"
    if row.sent_at is not None:
        said = row.smtp_reply or None
        yield Entry(row.sent_at, f"Taken by their mail server{tries}", said, "good", "sending")
    elif lease is not None and (end := _without_success(row)) is not None:
        title, tone = end
        at = lease.ended_at or lease.expires_at
        yield Entry(at, f"{title}{tries}", row.smtp_reply, tone, "sending")


def _without_success(row: EmailRecipient) -> tuple[str, str] | None:
    return {
        RecipientState.FAILED: ("Refused by their mail server", "bad"),
        RecipientState.UNKNOWN: (
            "In doubt: the worker was lost before the server answered",
            "warn",
        ),
        RecipientState.SUPPRESSED: ("Withheld: the address is suppressed", "warn"),
    }.get(row.state)


def _events(row: EmailRecipient) -> Iterator[Entry]:
    """Each request as it came, machines too, and what gave those away."""
    found = db.session.execute(
        select(TrackingEvent, EmailLink.url)
        .outerjoin(
            EmailLink,
            (EmailLink.email_id == TrackingEvent.email_id)
            & (EmailLink.number == TrackingEvent.link),
        )
        .where(TrackingEvent.email_id == row.email_id, TrackingEvent.recipient_id == row.id)
        .order_by(TrackingEvent.at)
        .limit(MOST)
    )
    for event, url in found:
        who, tone = _judged(event)
        about = [url, event.why, event.agent[:160], event.network]
        title = f"{ACTS[event.kind]} {who}"
        detail = " · ".join(part for part in about if part)
        yield Entry(event.at, title, detail or None, tone, event.method)


def _judged(event: TrackingEvent) -> tuple[str, str | None]:
    if event.human is None:
        return "(not judged yet)", None
    return ("by a person", "good") if event.human else ("by a machine", None)


def _bounces(row: EmailRecipient) -> Iterator[Entry]:
    code = write_code(row.email_id, row.id, row.secret)
    rows = select(MailBounce).where(MailBounce.email == row.address, MailBounce.code == code)
    for bounce in db.session.scalars(rows.order_by(MailBounce.id).limit(MOST)):
        title, tone = BOUNCES[bounce.kind]
        said = " · ".join(part for part in (bounce.status, bounce.diagnostic) if part)
        yield Entry(bounce.at, title, said or None, tone, "bounce")


def _leaving(row: EmailRecipient) -> Iterator[Entry]:
    left = db.session.scalar(
        select(EmailUnsubscribe).where(
            EmailUnsubscribe.email_id == row.email_id, EmailUnsubscribe.recipient_id == row.id
        )
    )
    if left is not None:
        title = f"Left {left.topic.value} {WAYS[left.way]}"
        said = " · ".join(part for part in (REASONS[left.reason], left.comment) if part)
        yield Entry(left.at, title, said, "warn", "leaving")


def _orders(row: EmailRecipient) -> Iterator[Entry]:
    found = db.session.execute(
        select(EmailOrder, Order)
        .join(Order, Order.id == EmailOrder.order_id)
        .where(EmailOrder.email_id == row.email_id, EmailOrder.recipient_id == row.id)
        .limit(MOST)
    )
    for credit, order in found:
        by = "after a click" if credit.credit is OrderCredit.CLICK else "after reading it"
        title = f"Ordered for {format_money(order.total_amount, order.currency)}, {by}"
        yield Entry(order.placed_at, title, f"order #{order.number}", "good", "order")


def orders_of(row: EmailRecipient) -> list[tuple[str, str]]:
    """Return (number, address of its page) of each order that is owed to the mail."""
    found = db.session.execute(
        select(Order.id, Order.number)
        .join(EmailOrder, EmailOrder.order_id == Order.id)
        .where(EmailOrder.email_id == row.email_id, EmailOrder.recipient_id == row.id)
        .limit(MOST)
    )
    return [(f"#{number}", url_for("admin_orders.details_view", id=key)) for key, number in found]


def _audit(row: EmailRecipient) -> Iterator[Entry]:
    """What staff did about this one recipient stands among what was done to the mail."""
    about = list_about(f"email:{row.email_id}", MOST)
    deeds = [deed for deed in about if deed.details.get("recipient") == row.id]
    people = name_people(deed.actor_id for deed in deeds)
    for deed in deeds:
        person = people.get(deed.actor_id) if deed.actor_id else None
        who = person.email if person else deed.actor_kind.value
        yield Entry(deed.at, words(deed.action), f"by {who}", None, "audit")
