"""People: alice, bob and charlie, with an account or without, logged in or not."""

import uuid

from flask import Flask
from flask.testing import FlaskClient

from webapp.accounts.models import LoginMethod, Member, Passkey, Role, User
from webapp.accounts.services.passwords import hash_password
from webapp.accounts.services.sessions import open_session
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db

PASSWORD = "Quiet-Harbour-42"


def make_user(
    email: str = "alice@example.com",
    *,
    role: Role | None = None,
    password: str | None = PASSWORD,
    verified: bool = True,
    name: str = "",
) -> User:
    """Return a committed login; without a role it is a member."""
    user = User(
        email=email,
        email_verified_at=clock.now() if verified else None,
        password_hash=hash_password(password) if password else None,
        role=role,
    )
    db.session.add(user)
    db.session.flush()
    if role is None:
        db.session.add(Member(user_id=user.id, name=name))
    db.session.commit()
    return user


def passkey_of(
    user_id: uuid.UUID,
    name: str = "Laptop",
    credential_id: bytes = b"id",
    public_key: bytes = b"a public key",
) -> Passkey:
    """Return a passkey, not yet added, whose other half nobody holds."""
    return Passkey(
        user_id=user_id,
        credential_id=credential_id,
        public_key=public_key,
        sign_count=0,
        transports=[],
        name=name,
    )


def browser_of(
    app: Flask,
    user: User,
    method: LoginMethod = LoginMethod.PASSWORD,
    *,
    second_factor: bool = False,
) -> FlaskClient:
    """Return a browser in which ``user`` has just logged in."""
    token = open_session(user, method, SYSTEM, second_factor=second_factor)
    db.session.commit()
    browser = app.test_client()
    with browser.session_transaction() as opened:
        opened["_user_id"] = token
        opened["_fresh"] = True
    return browser
