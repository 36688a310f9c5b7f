"""New accounts: open at once, and the same to look at whether the address is known or not."""

import uuid
from dataclasses import dataclass, field

from webapp.accounts.models import Member, TermsOfUse, User
from webapp.accounts.queries import find_user, find_verified_user
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.passwords import check_password_rules, set_password
from webapp.accounts.services.terms import agree
from webapp.accounts.services.verifying import LASTS, is_flooded, verification_link
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.core.state import current_config
from webapp.messaging.services import post

WELCOME = "jobs.accounts.welcome"


@dataclass(frozen=True, slots=True)
class Registration:
    """What somebody asks for. ``terms`` are those they agreed to, if there are any."""

    email: str
    password: str = field(repr=False)
    name: str = ""
    newsletter: bool = False
    terms: TermsOfUse | None = None


def register(wish: Registration, by: Actor) -> User:
    """Open an account whose address is still to be shown; flushes.

    Nothing here asks whether the address is known: the mail that follows is written by a job.
    Raises InvalidEmail or WeakPassword.
    """
    email = read_email(wish.email)
    check_password_rules(wish.password, email)
    user = User(email=email)
    set_password(user, wish.password)
    db.session.add(user)
    db.session.flush()
    db.session.add(Member(user_id=user.id, name=wish.name.strip()))
    # The address may be somebody else's: the newsletter begins when it is shown to be theirs.
    record(
        by,
        "member.registered",
        f"user:{user.id}",
        user_id=user.id,
        newsletter=wish.newsletter,
    )
    if wish.terms is not None:
        agree(user, wish.terms, by)
    enqueue(WELCOME, str(user.id), queue=Queue.MAIL, subject=f"user:{user.id}")
    db.session.flush()
    return user


def welcome(user_id: uuid.UUID) -> None:
    """Post the first mail; flushes. An address with an owner gets one that tells them instead."""
    user = find_user(user_id)
    if user is None or not user.active:
        return
    owner = find_verified_user(user.email)
    if owner is not None and owner.id != user.id:
        tell_owner(owner)
    elif not is_flooded(user.email):
        _greet(user)


def tell_owner(owner: User) -> None:
    """Tell somebody, once a day, that their address was typed by somebody else or by themselves."""
    base = current_config().base_url.rstrip("/")
    post(
        "already_registered",
        owner.email,
        {"login_url": f"{base}/login", "forgot_url": f"{base}/password/forgot"},
        dedupe_key=f"already_registered:{owner.id}:{clock.now():%Y-%m-%d}",
        subject_ref=f"user:{owner.id}",
    )


def _greet(user: User) -> None:
    # The name stays out: anybody can type one, and any address beside it.
    known = user.email_verified_at is not None
    link = None if known else verification_link(user)
    post(
        "welcome",
        user.email,
        {"link": link, "days": LASTS.days},
        dedupe_key=f"welcome:{user.id}",
        subject_ref=f"user:{user.id}",
        secret=not known,
    )
