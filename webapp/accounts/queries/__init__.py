"""Finding people and what belongs to them."""

from webapp.accounts.queries.people import (
    find_member,
    find_user,
    find_verified_user,
    list_staff,
)

__all__ = [
    "find_member",
    "find_user",
    "find_verified_user",
    "list_staff",
]
