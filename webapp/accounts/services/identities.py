"""Accounts elsewhere that open accounts here: signing in by one, linking and unlinking it.

A provider's word makes a new account, but never opens one that is there already: whoever owns
that one logs in the way they did before and links the identity themselves.
"""

import re
import uuid

from sqlalchemy.exc import IntegrityError

from webapp.accounts.errors import (
    AccountExists,
    AddressTaken,
    IdentityAlreadyLinked,
    IdentityTaken,
    InvalidEmail,
    SignInRefused,
)
from webapp.accounts.gateway import Claims, Provider
from webapp.accounts.models import IdentityProvider, LinkedIdentity, Member, User
from webapp.accounts.queries import find_user, find_verified_user
from webapp.accounts.queries.identities import find_identity, find_identity_of
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.alerts import tell_identity_linked, tell_identity_unlinked
from webapp.accounts.services.registering import WELCOME
from webapp.accounts.services.verifying import confirm_address
from webapp.accounts.services.ways_in import check_way_remains
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue

MAX_NAME = 200
MAX_SUBJECT = 255
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def sign_in(provider: Provider, claims: Claims, by: Actor) -> User:
    """Return whom this identity opens the door to, a new member if nobody knows them; flushes.

    Raises AccountExists where the address is somebody's who has not linked it, else SignInRefused.
    """
    identity = _find(provider, claims)
    if identity is not None:
        return _open(provider, identity)
    email = _vouched_email(provider, claims)
    if find_verified_user(email) is not None:
        raise AccountExists(provider.title, email)
    try:
        with db.session.begin_nested():
            return _register(provider, claims, email, by)
    except (IntegrityError, AddressTaken):
        # Somebody clicked twice, or verified the address at this very moment.
        identity = _find(provider, claims)
        if identity is None:
            raise AccountExists(provider.title, email) from None
        return _open(provider, identity)


def link(user: User, provider: Provider, claims: Claims, by: Actor) -> LinkedIdentity:
    """Let this identity open the user's account from now on; flushes, and tells them by mail.

    Raises IdentityTaken or IdentityAlreadyLinked. Linked to them already: nothing changes.
    """
    identity = _find(provider, claims)
    if identity is not None:
        if identity.user_id != user.id:
            raise IdentityTaken(provider.title)
        return identity
    if find_identity_of(user.id, provider.name) is not None:
        raise IdentityAlreadyLinked(provider.title)
    try:
        with db.session.begin_nested():
            identity = _add(user, provider, claims)
    except IntegrityError:
        # Somebody clicked twice.
        raise IdentityTaken(provider.title) from None
    record(by, "identity.linked", f"user:{user.id}", user_id=user.id, provider=provider.name)
    tell_identity_linked(user, identity, provider.title, by)
    db.session.flush()
    return identity


def unlink(user: User, name: IdentityProvider, title: str, by: Actor) -> bool:
    """Close this way into the user's account; False if there is none. Flushes.

    Raises LastWayIn if nothing else opens the account.
    """
    identity = find_identity_of(user.id, name)
    if identity is None:
        return False
    check_way_remains(user, without_identity=identity.id)
    db.session.delete(identity)
    record(by, "identity.unlinked", f"user:{user.id}", user_id=user.id, provider=name)
    tell_identity_unlinked(user, identity, title, by)
    db.session.flush()
    return True


def is_linked(user_id: uuid.UUID, provider: Provider, claims: Claims) -> bool:
    """Say whether this identity is the user's; notes that it was used. Flushes."""
    identity = _find(provider, claims)
    if identity is None or identity.user_id != user_id:
        return False
    _open(provider, identity)
    return True


def _find(provider: Provider, claims: Claims) -> LinkedIdentity | None:
    # OpenID Connect Core 1.0, section 2: a subject has 255 ASCII characters at the most.
    if not claims.subject.isascii() or len(claims.subject) > MAX_SUBJECT:
        raise SignInRefused(provider.title, "subject")
    return find_identity(provider.name, claims.subject)


def _open(provider: Provider, identity: LinkedIdentity) -> User:
    user = find_user(identity.user_id)
    if user is None or not user.active:
        raise SignInRefused(
            provider.title,
            "shut out",
            f"The account that this {provider.title} account opens is closed. Write to us if that "
            "should not be so.",
        )
    identity.last_used_at = clock.now()
    db.session.flush()
    return user


def _vouched_email(provider: Provider, claims: Claims) -> str:
    """Return the address that the provider says is this person's beyond doubt."""
    if not claims.email or not claims.email_verified:
        raise SignInRefused(
            provider.title,
            "email not verified",
            f"{provider.title} does not confirm that the email address is yours. Verify it there, "
            "or register here with a password.",
        )
    try:
        return read_email(claims.email)
    except InvalidEmail:
        raise SignInRefused(
            provider.title,
            "email unreadable",
            f"We can't write to the address that {provider.title} gave us. Register here with "
            "another one.",
        ) from None


def _register(provider: Provider, claims: Claims, email: str, by: Actor) -> User:
    """Open an account without a password, whose address counts as verified."""
    user = User(email=email)
    db.session.add(user)
    db.session.flush()
    db.session.add(Member(user_id=user.id, name=_readable(claims.name)))
    identity = _add(user, provider, claims)
    identity.last_used_at = clock.now()
    record(
        by,
        "member.registered",
        f"user:{user.id}",
        user_id=user.id,
        provider=provider.name,
        newsletter=False,
    )
    confirm_address(user, by)
    enqueue(WELCOME, str(user.id), queue=Queue.MAIL, subject=f"user:{user.id}")
    db.session.flush()
    return user


def _add(user: User, provider: Provider, claims: Claims) -> LinkedIdentity:
    identity = LinkedIdentity(
        user_id=user.id,
        provider=provider.name,
        subject=claims.subject,
        email=_readable(claims.email),
    )
    db.session.add(identity)
    db.session.flush()
    return identity


def _readable(text: str) -> str:
    return CONTROL.sub(" ", text).strip()[:MAX_NAME]
