"""Another address for an account, when the mailboxes of both have said yes."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from webapp.accounts.errors import AddressTaken, LinkUsed, SameEmail
from webapp.accounts.models import EmailChange, SessionEnd, User
from webapp.accounts.queries import find_user, find_verified_user
from webapp.accounts.queries.claims import find_open_change, lock_claims
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.registering import tell_owner
from webapp.accounts.services.sessions import end_all
from webapp.accounts.services.verifying import VERIFIED, dispossess, keep_address
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.core.signing import ExpiredToken, InvalidToken, sign, unsign
from webapp.core.state import current_config
from webapp.messaging.queries import count_lately
from webapp.messaging.services import post
from webapp.messaging.services.consent import consents_of, give_consent

PURPOSE = "email-change"
LASTS = timedelta(days=1)
MOST_A_DAY = 5

SEND = "jobs.accounts.send_email_change"


class Side(StrEnum):
    """Whose mailbox is asked."""

    OLD = "old"
    NEW = "new"


class Outcome(StrEnum):
    """What a yes led to. ``taken``: somebody else proved the address meanwhile."""

    WAITING = "waiting"
    DONE = "done"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Question:
    """What a link asks of whom."""

    change: EmailChange
    side: Side

    @property
    def answered(self) -> bool:
        change = self.change
        at = change.old_confirmed_at if self.side is Side.OLD else change.new_confirmed_at
        return at is not None


def ask_for_change(user: User, email: str, by: Actor) -> EmailChange:
    """Note the wish and promise the mails; flushes. A wish that was still open is called off.

    Nothing here asks whether the new address is known. An address that was never shown to be
    theirs has no say. Raises InvalidEmail or SameEmail.
    """
    address = read_email(email)
    if address == user.email:
        raise SameEmail
    # If the user clicks twice, the second waits here and calls the first one's wish off.
    db.session.refresh(user, with_for_update=True)
    earlier = find_open_change(user.id)
    if earlier is not None:
        earlier.cancelled_at = clock.now()
        db.session.flush()
    now = clock.now()
    change = EmailChange(
        user_id=user.id,
        old_email=user.email,
        new_email=address,
        old_confirmed_at=None if user.email_verified_at is not None else now,
        expires_at=now + LASTS,
    )
    db.session.add(change)
    db.session.flush()
    record(by, "email.change_asked", f"email_change:{change.id}", user_id=user.id)
    enqueue(SEND, change.id, queue=Queue.MAIL, subject=f"user:{user.id}")
    return change


def send_change(change_id: int) -> None:
    """Post the questions to both mailboxes; flushes."""
    change = db.session.get(EmailChange, change_id)
    if change is None or change.done_at is not None or change.cancelled_at is not None:
        return
    if change.old_confirmed_at is None:
        _ask(change, Side.OLD, change.old_email)
    owner = find_verified_user(change.new_email)
    if owner is not None:
        tell_owner(owner)
        return
    day = clock.now() - timedelta(days=1)
    if count_lately(change.new_email, ("email_change_new",), day) < MOST_A_DAY:
        _ask(change, Side.NEW, change.new_email)


def _ask(change: EmailChange, side: Side, recipient: str) -> None:
    token = sign(PURPOSE, {"change": change.id, "side": side.value})
    post(
        f"email_change_{side.value}",
        recipient,
        {
            "link": f"{current_config().base_url.rstrip('/')}/email-change/{token}",
            "new_email": change.new_email,
            "hours": int(LASTS.total_seconds()) // 3600,
        },
        dedupe_key=f"email_change:{change.id}:{side.value}",
        subject_ref=f"user:{change.user_id}",
        secret=True,
    )


def read_question(token: str) -> Question:
    """Return what the link asks, locked. Raises InvalidToken, ExpiredToken or LinkUsed."""
    value = unsign(PURPOSE, token)
    change = db.session.get(
        EmailChange, value["change"], with_for_update=True, populate_existing=True
    )
    if change is None:
        raise InvalidToken
    if change.done_at is not None:
        raise LinkUsed("This change of address is done. There is nothing left to confirm.")
    if change.cancelled_at is not None:
        raise LinkUsed("This change of address was called off. The address stays as it was.")
    if clock.now() >= change.expires_at:
        raise ExpiredToken
    return Question(change, Side(value["side"]))


def confirm(question: Question, by: Actor, keep: uuid.UUID | None) -> Outcome:
    """Note one mailbox's yes; flushes. With both, the address changes at once.

    All sessions but ``keep`` end then.
    """
    change = question.change
    user = find_user(change.user_id)
    if user is None or not user.active or user.email != change.old_email:
        raise InvalidToken
    now = clock.now()
    if question.side is Side.OLD:
        change.old_confirmed_at = change.old_confirmed_at or now
    else:
        change.new_confirmed_at = change.new_confirmed_at or now
    db.session.flush()
    if change.old_confirmed_at is None or change.new_confirmed_at is None:
        return Outcome.WAITING
    return _carry_out(change, user, by, keep)


def _carry_out(change: EmailChange, user: User, by: Actor, keep: uuid.UUID | None) -> Outcome:
    claims = [claim for claim in lock_claims(change.new_email, user.id) if claim.id != user.id]
    was_shown = user.email_verified_at is not None
    try:
        if any(claim.email_verified_at is not None for claim in claims):
            raise AddressTaken
        keep_address(user, change.new_email)
    except AddressTaken:
        change.cancelled_at = clock.now()
        db.session.flush()
        return Outcome.TAKEN
    change.done_at = clock.now()
    dispossess(claims, by)
    _take_preferences_along(change)
    end_all(user.id, SessionEnd.EVERYWHERE, by, keep=keep)
    record(by, "email.changed", f"user:{user.id}", user_id=user.id)
    enqueue(VERIFIED, str(user.id), subject=f"user:{user.id}")
    if was_shown:
        _tell_old(change)
    return Outcome.DONE


def _take_preferences_along(change: EmailChange) -> None:
    answered = consents_of(change.new_email)
    for topic, consent in consents_of(change.old_email).items():
        if topic not in answered:
            give_consent(change.new_email, topic, consent.wanted, "email change")


def _tell_old(change: EmailChange) -> None:
    post(
        "email_changed",
        change.old_email,
        {},
        dedupe_key=f"email_changed:{change.id}",
        subject_ref=f"user:{change.user_id}",
    )


def call_off(change: EmailChange, by: Actor) -> bool:
    """Leave the address as it is; False if another request was faster. Flushes."""
    db.session.refresh(change, with_for_update=True)
    if change.done_at is not None or change.cancelled_at is not None:
        return False
    change.cancelled_at = clock.now()
    db.session.flush()
    record(by, "email.change_cancelled", f"email_change:{change.id}", user_id=change.user_id)
    return True
