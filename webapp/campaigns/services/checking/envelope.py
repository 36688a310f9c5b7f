"""Checks of what is around the words: who sends, who gets it, what the law wants."""

from collections.abc import Iterator

from webapp.campaigns.models import Email
from webapp.campaigns.places import CONTROL
from webapp.campaigns.services.checking.finding import (
    Finding,
    Level,
    error,
    hint,
    warning,
)
from webapp.core.config import Env
from webapp.core.errors import DomainError
from webapp.core.shop import get_shop
from webapp.core.state import current_config
from webapp.messaging.services.senders import sender_for

# Their owners let nobody else send in their name (DMARC, RFC 7489).
FREEMAIL = frozenset(
    {"gmail.com", "googlemail.com", "yahoo.com", "ymail.com", "aol.com", "outlook.com"}
    | {"hotmail.com", "live.com", "msn.com", "icloud.com", "me.com", "mac.com", "gmx.com"}
    | {"gmx.de", "gmx.net", "web.de", "mail.com", "mail.ru", "yandex.com", "proton.me", "zoho.com"}
)


def check_envelope(email: Email) -> Iterator[Finding]:
    if not email.variants:
        yield error("subject_missing", "Write a subject and a body.")
    if CONTROL.search(email.name):
        yield error("control_character", "The name holds a control character. Type it anew.")
    yield from _check_sender(email)
    yield from _check_audience(email)
    yield from _check_variants(email)
    if not get_shop().postal_address.strip():
        yield Finding(
            _in_production(Level.ERROR),
            "postal_address",
            "Write the shop's postal address into its settings: laws like CAN-SPAM want it at the "
            "foot of every such mail.",
        )
    if not current_config().dkim_private_key:
        yield hint(
            "dkim",
            "Mails aren't signed (DKIM), and Gmail and Yahoo want that of who writes to many: ask "
            "your operator for DKIM_PRIVATE_KEY, unless your mail service signs.",
        )


def _check_sender(email: Email) -> Iterator[Finding]:
    try:
        sender = sender_for(email.sender_id)
    except DomainError as refusal:
        yield error("sender", f"{refusal.sentence} Choose another sender.")
        return
    if CONTROL.search(sender.name):
        yield error("control_character", "The sender's name holds a control character.")
    domain = sender.address.rpartition("@")[2].lower()
    if domain in FREEMAIL:
        yield warning(
            "sender_freemail",
            f"Send from an address of your own domain: mail in the name of {domain} that doesn't "
            "come from there is refused.",
        )
    elif "." not in domain:
        yield Finding(
            _in_production(Level.ERROR),
            "sender_domain",
            f"Nobody accepts mail from {domain}: set a sender's address under your own domain.",
        )


def _check_audience(email: Email) -> Iterator[Finding]:
    if email.audience_id is None and email.resend_of is None:
        yield warning(
            "audience",
            f"It goes to everybody who wants “{email.topic.value}”. Choose an audience if that is "
            "not what you mean.",
        )


def _check_variants(email: Email) -> Iterator[Finding]:
    said = [(each.subject, each.preheader, each.body) for each in email.variants]
    if len(set(said)) < len(said):
        yield error("variants_same", "Two variants are the same: change one, or take it out.")
    if len(said) == 1 and email.ab_share not in (None, 100):
        yield hint("ab_alone", "There is one variant only, so nothing is tried.")


def _in_production(level: Level) -> Level:
    return level if current_config().app_env is Env.PRODUCTION else Level.WARNING
