"""What campaigns and mail servers come to know of somebody who gets mails from us."""

import uuid
from typing import Any

from sqlalchemy import update

from tests.factories.emails import make_frozen, recipient_of
from webapp.accounts.models import Prospect, ProspectSource
from webapp.accounts.services.prospects import note_prospect
from webapp.campaigns.models import (
    EmailState,
    EmailUnsubscribe,
    LeaveReason,
    LeaveWay,
    PersonTag,
    RecipientState,
    Sequence,
    SequenceRun,
    SequenceTrigger,
    TrackingEvent,
    TrackingKind,
    TrackingOptOut,
)
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import (
    BounceKind,
    MailBounce,
    MailReport,
    MailSuppression,
    MailTopic,
    ReportSource,
    ReportState,
    SuppressionReason,
    SuppressionScope,
)


def write_to(address: str, *, name: str, place: str, network: str) -> None:
    """Let somebody get two mails, open, click, leave, be followed up, bounce and complain."""
    now = clock.now()
    read, waits = make_frozen([address], state=EmailState.SENT), make_frozen([address])
    recipient = recipient_of(read, address)
    recipient.state, recipient.sent_at = RecipientState.SENT, now
    recipient.opened_at = recipient.clicked_at = recipient.left_at = now
    recipient.smtp_reply = f"250 2.1.5 {address} is well"
    for each in (recipient, recipient_of(waits, address)):
        each.fields = {"first_name": name, "city": place}
    numbers = {"email_id": read.id, "recipient_id": recipient.id}
    for kind in (TrackingKind.OPEN, TrackingKind.CLICK):
        db.session.add(_seen(kind, network, name, numbers))
    goodbye = EmailUnsubscribe(
        **numbers,
        topic=MailTopic.NEWSLETTER,
        way=LeaveWay.PAGE,
        reason=LeaveReason.OTHER,
        comment=f"{name} of {place} goes",
    )
    sequence = Sequence(name=str(uuid.uuid4()), trigger=SequenceTrigger.MEMBER_JOINED)
    db.session.add_all([goodbye, sequence])
    db.session.flush()
    db.session.add_all(
        [
            SequenceRun(sequence_id=sequence.id, address=address, due_at=now),
            PersonTag(email=address, tag=name.lower()),
            TrackingOptOut(email=address),
            *_reported(address),
        ]
    )
    prospect = note_prospect(address, ProspectSource.IMPORT, name)
    known = {"attributes": {"town": place}, "country": "US", "time_zone": "Africa/Dar_es_Salaam"}
    db.session.execute(update(Prospect).where(Prospect.id == prospect.id).values(**known))
    db.session.commit()


def _seen(kind: TrackingKind, network: str, name: str, numbers: dict[str, int]) -> TrackingEvent:
    return TrackingEvent(
        event_id=uuid.uuid4(),
        kind=kind,
        link=1 if kind is TrackingKind.CLICK else None,
        method="GET",
        agent=f"Mail of {name}",
        network=network,
        human=True,
        at=clock.now(),
        **numbers,
    )


def _reported(address: str) -> list[Any]:
    key = uuid.uuid4().hex
    said = f"550 5.1.1 <{address}>: no such user"
    return [
        MailBounce(
            key=key, email=address, kind=BounceKind.SOFT, diagnostic=said, source="mail", code=key
        ),
        MailReport(
            key=key,
            source=ReportSource.MAIL,
            content=f"Final-Recipient: rfc822; {address.title()}".encode(),
            state=ReportState.UNREADABLE,
            error=f"Nothing about {address}",
        ),
        MailSuppression(
            email=address,
            scope=SuppressionScope.MARKETING,
            reason=SuppressionReason.COMPLAINT,
            source="bounce mail",
            detail=said,
        ),
    ]
