"""Mails that tell people what changed about the locks of their account: not every change is theirs.

They go to verified addresses only: an unverified one may be somebody else's, who has no account.
"""

import logging
import uuid
from collections.abc import Mapping
from enum import StrEnum

from webapp.accounts.models import LinkedIdentity, Passkey, User
from webapp.core import clock
from webapp.core.audit import Actor
from webapp.core.state import current_config
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.services import post

logger = logging.getLogger(__name__)


class Change(StrEnum):
    """What became of a second factor."""

    TOTP_ADDED = "totp_added"
    TOTP_REMOVED = "totp_removed"
    PASSKEY_REMOVED = "passkey_removed"
    CODES_MADE = "codes_made"


def tell_passkey_added(user: User, passkey: Passkey, by: Actor) -> None:
    _tell(user, "passkey_added", str(passkey.id), by)


def tell_change(user: User, change: Change, by: Actor) -> None:
    _tell(user, "second_factor_changed", uuid.uuid4().hex, by, change=change.value)


def tell_recovery_code_used(user: User, left: int, by: Actor) -> None:
    _tell(user, "recovery_code_used", uuid.uuid4().hex, by, left=left)


def tell_identity_linked(user: User, identity: LinkedIdentity, title: str, by: Actor) -> None:
    _tell(user, "identity_linked", str(identity.id), by, provider=title)


def tell_identity_unlinked(user: User, identity: LinkedIdentity, title: str, by: Actor) -> None:
    _tell(user, "identity_unlinked", str(identity.id), by, provider=title)


def _tell(user: User, kind: str, key: str, by: Actor, **context: object) -> None:
    context |= {
        "at": clock.now(),
        "device": by.device,
        "network": by.network,
        "security_url": current_config().base_url.rstrip("/") + "/account/security",
    }
    write_to_owner(user, kind, key, context)


def write_to_owner(user: User, kind: str, key: str, context: Mapping[str, object]) -> None:
    """Post a mail to the user's address, once for each ``key``, if it was shown to be theirs.

    A shop with a broken sender must not keep people from what they do with their own accounts.
    """
    if user.email_verified_at is None:
        return
    key, subject = f"{kind}:{user.id}:{key}", f"user:{user.id}"
    try:
        post(kind, user.email, context, dedupe_key=key, subject_ref=subject)
    except (InvalidAddress, InvalidHeader):
        logger.exception("owner of an account not told", extra={"subject": subject, "kind": kind})
