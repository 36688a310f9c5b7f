"""Mails on their way out, what people said about getting them, and what came back."""

from webapp.messaging.models.consent import MailConsent, MailTopic
from webapp.messaging.models.mail import Mail, MailState
from webapp.messaging.models.sender import MailDomainLimit, MailSender, MailSenderDay
from webapp.messaging.models.suppression import (
    BounceKind,
    MailBounce,
    MailReport,
    MailSuppression,
    ReportSource,
    ReportState,
    SuppressionReason,
    SuppressionScope,
)

__all__ = [
    "BounceKind",
    "Mail",
    "MailBounce",
    "MailConsent",
    "MailDomainLimit",
    "MailReport",
    "MailSender",
    "MailSenderDay",
    "MailState",
    "MailSuppression",
    "MailTopic",
    "ReportSource",
    "ReportState",
    "SuppressionReason",
    "SuppressionScope",
]
