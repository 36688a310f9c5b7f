"""Reading the audit as the person it is about sees it: who did what, when, from where."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from webapp.core.db import db
from webapp.core.models import ActorKind, AuditEntry

PAGE_SIZE = 25

SENTENCES = {
    "account.closed": "The closing of the account was asked for",
    "account.kept": "The account was kept after all",
    "address.added": "An address was added",
    "address.changed": "An address was changed",
    "address.made_default": "Another address became the default",
    "address.removed": "An address was removed",
    "email.change_asked": "Another email address was asked for",
    "email.change_cancelled": "The change of the email address was called off",
    "email.changed": "The email address was changed",
    "email.lost": "The email address turned out to be somebody else’s",
    "email.verified": "The email address was verified",
    "export.downloaded": "The copy of all data was downloaded",
    "export.requested": "A copy of all data was asked for",
    "identity.linked": "Another way to log in was linked",
    "identity.unlinked": "A linked way to log in was removed",
    "mails.chosen": "Mail preferences were changed",
    "member.erased": "Everything about the person was erased",
    "member.registered": "The account was opened",
    "orders.joined": "Orders bought as a guest joined the account",
    "passkey.added": "A passkey was added",
    "passkey.removed": "A passkey was removed",
    "passkey.renamed": "A passkey was renamed",
    "password.changed": "The password was changed",
    "password.reset": "The password was set anew by mail",
    "profile.changed": "Name or phone was changed",
    "prospect.converted": "What was known of the address before joined the account",
    "recovery_code.used": "A recovery code was used",
    "recovery_codes.made": "New recovery codes were made",
    "second_step.refused": "A second step was tried and refused",
    "session.all_ended": "Devices were logged out",
    "session.opened": "Logged in",
    "session.revoked": "A device was logged out",
    "staff.added": "Access to the back office was given",
    "staff.removed": "Access to the back office was taken away",
    "staff.role_changed": "The role in the back office was changed",
    "terms.agreed": "The terms of use were agreed to",
    "totp.added": "An authenticator app was added",
    "totp.removed": "The authenticator app was removed",
    "user.let_in": "The account was opened again",
    "user.shut_out": "The account was shut",
}
_WHO = {
    ActorKind.STAFF: "The shop’s staff",
    ActorKind.MEMBER: "Another member",
    ActorKind.VISITOR: "Without being logged in",
    ActorKind.SYSTEM: "The shop, by itself",
    ActorKind.OPERATOR: "The shop’s operator",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of somebody's activity, in words."""

    at: datetime
    what: str
    who: str
    network: str


def list_activity(user_id: uuid.UUID, skip: int = 0, limit: int = PAGE_SIZE) -> list[Happening]:
    """Return what was done to this user, the newest first."""
    rows = db.session.execute(
        select(
            AuditEntry.at,
            AuditEntry.action,
            AuditEntry.actor_id,
            AuditEntry.actor_kind,
            AuditEntry.network,
        )
        .where(AuditEntry.user_id == user_id)
        .order_by(AuditEntry.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return [
        Happening(
            at=row.at,
            what=in_words(row.action),
            who="You" if row.actor_id == user_id else _WHO[row.actor_kind],
            # Where staff or the shop itself sits is not the member's business.
            network=row.network
            if row.actor_kind not in _AT_WORK or row.actor_id == user_id
            else "",
        )
        for row in rows
    ]


_AT_WORK = (ActorKind.STAFF, ActorKind.SYSTEM, ActorKind.OPERATOR)


def count_activity(user_id: uuid.UUID) -> int:
    about = select(func.count()).select_from(AuditEntry).where(AuditEntry.user_id == user_id)
    return int(db.session.scalar(about) or 0)


def in_words(action: str) -> str:
    """Return "Passkey renamed" for ``passkey.renamed``, or the better sentence where there is."""
    return SENTENCES.get(action) or action.replace(".", " ").replace("_", " ").capitalize()
