"""Telling whether somebody is who they say."""

from webapp.accounts.errors import InvalidEmail
from webapp.accounts.models import User
from webapp.accounts.queries import find_verified_user
from webapp.accounts.queries.claims import find_claimant
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.passwords import matches, rehash_if_needed


def authenticate(email: str, password: str) -> User | None:
    """Return the active user whose password this is.

    Two may log in with one address: who proved it, and the last who registered with it and did
    not. Both are always compared, so that neither the time nor a login after a registration tells
    whether somebody else has the address.
    """
    try:
        address = read_email(email)
    except InvalidEmail:
        address = ""
    candidates = (find_verified_user(address), find_claimant(address))
    hashes = [user.password_hash if user and user.active else None for user in candidates]
    right = [matches(each, password) for each in hashes]
    for user, is_right in zip(candidates, right, strict=True):
        if user is not None and is_right:
            rehash_if_needed(user, password)
            return user
    return None
