"""Everything that a lease needs of its mail, read anew for each: limits and senders change."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from webapp.campaigns.models import Email, EmailState
from webapp.campaigns.services.sending.letters import Face, Letter, Sheet
from webapp.campaigns.services.unsubscribing import leaving_key
from webapp.core.db import db
from webapp.core.state import current_config, current_fork
from webapp.messaging.bounces import return_path
from webapp.messaging.models import MailTopic
from webapp.messaging.services.senders import Identity, sender_for


@dataclass(frozen=True, slots=True)
class Plan:
    """One mail, ready to be joined for anybody."""

    email: Email
    topic: MailTopic
    identity: Identity
    face: Face
    sheets: Mapping[int, Sheet]
    leaving_key: bytes
    bounce_address: str

    def letter(self, variant: int, tracked: bool) -> Letter:
        sheet = self.sheets.get(variant) or self.sheets[1]
        return _letter(self.face, sheet if tracked else sheet.untracked())

    def return_path(self, code: str) -> str:
        """Return where this mail bounces to."""
        return return_path(self.bounce_address, code) or self.identity.address


# By value: the words of a mail that changed make another letter.
_letter = lru_cache(maxsize=32)(Letter)


def load_plan(email_id: int) -> Plan | None:
    """Return the plan of a mail that is being sent, else None. Raises NoSuchSender, SenderOff."""
    email = db.session.get(Email, email_id, populate_existing=True)
    if email is None or email.state not in (EmailState.SENDING, EmailState.AUTOMATED):
        return None
    return plan_of(email)


def plan_of(email: Email) -> Plan:
    """Return the plan of a mail whose words are frozen. Raises NoSuchSender, SenderOff."""
    identity = sender_for(email.sender_id)
    config = current_config()
    urls = tuple((link.number, link.url) for link in email.links)
    return Plan(
        email=email,
        topic=email.topic,
        identity=identity,
        face=_face(email, identity),
        sheets={
            variant.number: Sheet(variant.subject, variant.html, variant.text, urls)
            for variant in email.variants
        },
        leaving_key=leaving_key(),
        bounce_address=config.bounce_address,
    )


def _face(email: Email, identity: Identity) -> Face:
    domain = identity.address.rpartition("@")[2]
    return Face(
        sender=identity.named,
        sender_domain=domain,
        reply_to=identity.reply_to,
        list_id=f"<{email.topic.value}.{domain}>",
        # https://support.google.com/a/answer/6254652: complaints by mail, topic and sender.
        feedback_id=f"{email.id}:{email.topic.value}:campaign:{current_fork().name}",
        base_url=current_config().base_url.rstrip("/"),
    )
