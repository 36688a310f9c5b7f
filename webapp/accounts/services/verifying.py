"""Whose an address is: whoever opens the link that was sent to it."""

import hashlib
import uuid
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from webapp.accounts.errors import AddressTaken, LinkUsed
from webapp.accounts.models import SessionEnd, User
from webapp.accounts.queries import find_user, find_verified_user
from webapp.accounts.queries.claims import lock_claims, wanted_newsletter
from webapp.accounts.services.sessions import end_all
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import enqueue
from webapp.core.signing import InvalidToken, sign, unsign
from webapp.core.state import current_config
from webapp.messaging.models import MailTopic
from webapp.messaging.queries import count_lately
from webapp.messaging.services import post
from webapp.messaging.services.consent import consents_of, give_consent

PURPOSE = "verify-email"
LASTS = timedelta(days=3)
# What a stranger can make us send to one mailbox.
MOST_A_DAY = 5
MAILS = ("welcome", "verify_email", "already_registered")

SEND = "jobs.accounts.send_verification"
VERIFIED = "jobs.accounts.email_verified"


def verification_link(user: User) -> str:
    """Return the link that shows whose mailbox this is: for this user and this address alone."""
    token = sign(PURPOSE, {"user": str(user.id), "email": mark_of(user.email)})
    return f"{current_config().base_url.rstrip('/')}/verify/{token}"


def mark_of(email: str) -> str:
    """Return what stands for an address in a link: links end up in histories and logs."""
    return hashlib.sha256(email.encode()).hexdigest()[:32]


def read_verification(token: str) -> User:
    """Return whom the link is for. Raises InvalidToken, ExpiredToken or LinkUsed."""
    value = unsign(PURPOSE, token, int(LASTS.total_seconds()))
    user = find_user(uuid.UUID(value["user"]))
    if user is None or mark_of(user.email) != value["email"]:
        raise InvalidToken
    if user.email_verified_at is not None:
        raise LinkUsed("This address is confirmed already. There is nothing left to do.")
    if not user.active:
        raise LinkUsed("This address was confirmed for another account. Log in to that one.")
    return user


def confirm_address(user: User, by: Actor) -> None:
    """Give ``user`` the address they have just shown to be theirs; flushes.

    Whoever else typed it loses the login they made with it. Raises AddressTaken if somebody was
    faster.
    """
    others = [claim for claim in lock_claims(user.email, user.id) if claim.id != user.id]
    if user.email_verified_at is not None:
        return
    if any(other.email_verified_at is not None for other in others):
        raise AddressTaken
    keep_address(user, user.email)
    dispossess(others, by)
    record(by, "email.verified", f"user:{user.id}", user_id=user.id)
    _subscribe(user)
    enqueue(VERIFIED, str(user.id), subject=f"user:{user.id}")


def keep_address(user: User, email: str) -> None:
    """Write the verified address down. Raises AddressTaken where the unique index says no."""
    try:
        with db.session.begin_nested():
            user.email = email
            user.email_verified_at = clock.now()
            db.session.flush()
    except IntegrityError:
        db.session.refresh(user)
        raise AddressTaken from None


def dispossess(claims: list[User], by: Actor) -> None:
    """Close logins that were made with somebody else's address."""
    for claim in claims:
        if claim.active:
            claim.active = False
            end_all(claim.id, SessionEnd.SHUT_OUT, by)
            record(by, "email.lost", f"user:{claim.id}", user_id=claim.id)
    db.session.flush()


def _subscribe(user: User) -> None:
    """Carry out the wish for the newsletter: only now do we know whose wish it was."""
    said = consents_of(user.email).get(MailTopic.NEWSLETTER)
    said_since = said is not None and said.at > user.created_at
    if wanted_newsletter(user.id) and not said_since:
        give_consent(user.email, MailTopic.NEWSLETTER, True, "registration")


def send_verification(user_id: uuid.UUID, nonce: str) -> None:
    """Post the link to an address that nobody has shown to be theirs; flushes."""
    user = find_user(user_id)
    if user is None or not user.active or user.email_verified_at is not None:
        return
    if find_verified_user(user.email) is not None or is_flooded(user.email):
        return
    post(
        "verify_email",
        user.email,
        {"link": verification_link(user), "days": LASTS.days},
        dedupe_key=f"verify_email:{nonce}",
        subject_ref=f"user:{user.id}",
        secret=True,
    )


def is_flooded(email: str) -> bool:
    """Say whether the mailbox got as many mails of this kind today as a stranger may cause."""
    return count_lately(email, MAILS, clock.now() - timedelta(days=1)) >= MOST_A_DAY
