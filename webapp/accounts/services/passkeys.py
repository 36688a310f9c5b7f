"""Passkeys: added, named and removed by their owner, and recognised at the door."""

import json
import uuid

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from webauthn.helpers.structs import AuthenticatorTransport

from webapp.accounts.errors import NoSuchPasskey, PasskeyRefused, PasskeyTaken, TooManyPasskeys
from webapp.accounts.models import Passkey, User
from webapp.accounts.services import ceremonies
from webapp.accounts.services.ways_in import check_factor_remains, check_way_remains
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db

MOST = 20
MAX_NAME = 60
# Who keeps a passkey, by the AAGUID it reports; from the community's list of passkey providers.
_KEEPERS = {
    "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
    "fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "Apple Passwords",
    "adce0002-35bc-c60a-648b-0b25f1f05503": "Chrome on Mac",
    "08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
    "9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
    "6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
    "bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
    "d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
    "531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
    "53414d53-554e-4700-0000-000000000000": "Samsung Pass",
}


def list_passkeys(user_id: uuid.UUID) -> list[Passkey]:
    """Return a user's passkeys, the oldest first; there are at most MOST."""
    found = select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)
    return list(db.session.scalars(found))


def options_for_new(user: User, shop: str, challenge: bytes) -> str:
    """Return the browser's options as JSON. Raises TooManyPasskeys."""
    present = list_passkeys(user.id)
    if len(present) >= MOST:
        raise TooManyPasskeys(MOST)
    return ceremonies.ask_for_new(user, shop, challenge, present)


def options_for_known(challenge: bytes, user: User | None = None) -> str:
    """Return the browser's options as JSON; of ``user`` alone when it is known who asks."""
    allowed = list_passkeys(user.id) if user is not None else []
    return ceremonies.ask_for_known(challenge, allowed)


def add(user: User, answer: str, challenge: bytes, name: str, by: Actor) -> Passkey:
    """Keep what the browser made; flushes.

    Raises PasskeyRefused, PasskeyExpired, PasskeyTaken or TooManyPasskeys.
    """
    made = ceremonies.check_new(answer, challenge)
    db.session.execute(select(User.id).where(User.id == user.id).with_for_update())
    if len(list_passkeys(user.id)) >= MOST:
        raise TooManyPasskeys(MOST)
    values = {
        "user_id": user.id,
        "credential_id": made.credential_id,
        "public_key": made.credential_public_key,
        "sign_count": made.sign_count,
        "transports": _transports(answer),
        "aaguid": made.aaguid,
        "backed_up": made.credential_backed_up,
        "name": _name(name) or _KEEPERS.get(made.aaguid) or by.device or "Passkey",
        "created_at": clock.now(),
    }
    added: Passkey | None = db.session.scalar(
        insert(Passkey)
        .values(values)
        .on_conflict_do_nothing(index_elements=["credential_id"])
        .returning(Passkey)
    )
    if added is None:
        raise PasskeyTaken
    record(by, "passkey.added", f"passkey:{added.id}", user_id=user.id)
    db.session.flush()
    return added


def recognise(answer: object, challenge: bytes, user: User | None = None) -> User:
    """Return whose passkey answered; ``user`` if it must be theirs.

    Raises PasskeyRefused or PasskeyExpired. Flushes the new sign count.
    """
    said = ceremonies.read_answer(answer)
    passkey = db.session.scalar(
        select(Passkey)
        .where(Passkey.credential_id == said.raw_id)
        .execution_options(populate_existing=True)
    )
    if passkey is None or (user is not None and passkey.user_id != user.id):
        raise PasskeyRefused
    shown = ceremonies.check_known(said, challenge, passkey)
    owner = db.session.get_one(User, passkey.user_id)
    if not owner.active or owner.erased_at is not None:
        raise PasskeyRefused
    _count(passkey, shown.new_sign_count, backed_up=shown.credential_backed_up)
    return owner


def _count(passkey: Passkey, count: int, *, backed_up: bool) -> None:
    """Keep the sign count. Of two answers with one count (a cloned key), the second is refused.

    Synced passkeys don't count: theirs is always 0.
    """
    counted = (
        update(Passkey)
        .where(Passkey.id == passkey.id, or_(Passkey.sign_count < count, Passkey.sign_count == 0))
        .values(sign_count=count, backed_up=backed_up, last_used_at=clock.now())
        .returning(Passkey.id)
    )
    if db.session.scalar(counted) is None:
        raise PasskeyRefused


def rename(user: User, passkey_id: int, name: str, by: Actor) -> Passkey:
    """Raises NoSuchPasskey. An empty name leaves the one it has."""
    passkey = _get_own(user, passkey_id)
    passkey.name = _name(name) or passkey.name
    record(by, "passkey.renamed", f"passkey:{passkey.id}", user_id=user.id)
    db.session.flush()
    return passkey


def remove(user: User, passkey_id: int, by: Actor) -> None:
    """Raises NoSuchPasskey, LastWayIn or SecondFactorNeeded."""
    passkey = _get_own(user, passkey_id)
    check_way_remains(user, without_passkey=passkey.id)
    check_factor_remains(user, without_passkey=passkey.id)
    db.session.delete(passkey)
    record(by, "passkey.removed", f"passkey:{passkey_id}", user_id=user.id)
    db.session.flush()


def _get_own(user: User, passkey_id: int) -> Passkey:
    passkey = db.session.get(Passkey, passkey_id)
    if passkey is None or passkey.user_id != user.id:
        raise NoSuchPasskey
    return passkey


def _name(text: str) -> str:
    """Return one line of visible text."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_NAME]


def _transports(answer: str) -> list[str]:
    """Return how the browser said the authenticator can be reached; it is only a hint."""
    known = {transport.value for transport in AuthenticatorTransport}
    said = json.loads(answer).get("response", {}).get("transports")
    return sorted({t for t in said if isinstance(t, str)} & known) if isinstance(said, list) else []
