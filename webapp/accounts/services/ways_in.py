"""What opens an account: nobody may shut themselves out by removing the last of it."""

import uuid
from dataclasses import dataclass

from sqlalchemy import func, select

from webapp.accounts.errors import LastWayIn, SecondFactorNeeded
from webapp.accounts.models import LinkedIdentity, Passkey, User
from webapp.accounts.queries.identities import list_identities
from webapp.accounts.services import totp
from webapp.core.db import db
from webapp.core.shop import get_shop


@dataclass(frozen=True, slots=True)
class WaysIn:
    """What somebody can show to be let in, or to be believed again."""

    password: bool
    passkeys: int
    totp: bool
    identities: tuple[LinkedIdentity, ...]


def ways_in(user: User) -> WaysIn:
    return WaysIn(
        password=user.password_hash is not None,
        passkeys=count_passkeys(user.id),
        totp=totp.is_on(user.id),
        identities=tuple(list_identities(user.id)),
    )


def count_passkeys(user_id: uuid.UUID, *, without: int | None = None) -> int:
    found = select(func.count()).select_from(Passkey).where(Passkey.user_id == user_id)
    if without is not None:
        found = found.where(Passkey.id != without)
    return db.session.scalar(found) or 0


def check_way_remains(
    user: User, *, without_passkey: int | None = None, without_identity: int | None = None
) -> None:
    """Raise LastWayIn if nothing opens the account once that is gone.

    The user's row is locked: of two removals at once, the second sees what the first left.
    """
    db.session.execute(select(User.id).where(User.id == user.id).with_for_update())
    if user.password_hash is not None or count_passkeys(user.id, without=without_passkey):
        return
    others = select(LinkedIdentity.id).where(LinkedIdentity.user_id == user.id)
    if without_identity is not None:
        others = others.where(LinkedIdentity.id != without_identity)
    if db.session.scalar(others.limit(1)) is None:
        raise LastWayIn


def is_required(user: User) -> bool:
    """Say whether the shop wants a second factor of this person."""
    return user.role is not None and get_shop().staff_second_factor


def check_factor_remains(
    user: User, *, without_passkey: int | None = None, without_totp: bool = False
) -> None:
    """Raise SecondFactorNeeded if the shop requires one and that is the last."""
    if not is_required(user):
        return
    app = not without_totp and totp.is_on(user.id)
    if not app and not count_passkeys(user.id, without=without_passkey):
        raise SecondFactorNeeded
