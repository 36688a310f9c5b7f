"""Mails to many and what came of them; advertisements, and what visitors did."""

from webapp.campaigns.models.audiences import Audience, PersonTag
from webapp.campaigns.models.emails import (
    AbMetric,
    Email,
    EmailFormat,
    EmailLink,
    EmailState,
    EmailType,
    EmailVariant,
)
from webapp.campaigns.models.recipients import NOT_YET, EmailRecipient, RecipientState, SendLease
from webapp.campaigns.models.sequences import (
    RunState,
    Sequence,
    SequenceGoal,
    SequenceRun,
    SequenceStep,
    SequenceTrigger,
)
from webapp.campaigns.models.settings import CampaignSettings, TrackingOptOut
from webapp.campaigns.models.tracking import (
    EmailOrder,
    EmailUnsubscribe,
    LeaveReason,
    LeaveWay,
    OrderCredit,
    TrackingEvent,
    TrackingKind,
)
from webapp.campaigns.models.visits import Ad, ClientEvent, ClientEventKind

__all__ = [
    "NOT_YET",
    "AbMetric",
    "Ad",
    "Audience",
    "CampaignSettings",
    "ClientEvent",
    "ClientEventKind",
    "Email",
    "EmailFormat",
    "EmailLink",
    "EmailOrder",
    "EmailRecipient",
    "EmailState",
    "EmailType",
    "EmailUnsubscribe",
    "EmailVariant",
    "LeaveReason",
    "LeaveWay",
    "OrderCredit",
    "PersonTag",
    "RecipientState",
    "RunState",
    "SendLease",
    "Sequence",
    "SequenceGoal",
    "SequenceRun",
    "SequenceStep",
    "SequenceTrigger",
    "TrackingEvent",
    "TrackingKind",
    "TrackingOptOut",
]
