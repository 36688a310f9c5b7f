"""Who may do what: each staff role's permissions as data, asked by views before they act."""

from enum import StrEnum

from webapp.accounts.models import Role


class Permission(StrEnum):
    """One thing a member of staff can be trusted with."""

    VIEW = "view"
    ORDERS_SHIP = "orders.ship"
    MAILS_SEND = "mails.send"
    CATALOG_EDIT = "catalog.edit"
    DISCOUNTS_EDIT = "discounts.edit"
    ORDERS_REFUND = "orders.refund"
    JOBS_RUN = "jobs.run"
    SETTINGS_EDIT = "settings.edit"


_VIEWER = frozenset({Permission.VIEW})
_STAFF = _VIEWER | {Permission.ORDERS_SHIP, Permission.MAILS_SEND}
_MANAGER = _STAFF | {
    Permission.CATALOG_EDIT,
    Permission.DISCOUNTS_EDIT,
    Permission.ORDERS_REFUND,
    Permission.JOBS_RUN,
}
_ADMIN = _MANAGER | {Permission.SETTINGS_EDIT}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.STAFF: _STAFF,
    Role.MANAGER: _MANAGER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: frozenset(Permission),
}


def allows(role: Role | None, permission: Permission) -> bool:
    """Say whether ``role`` includes ``permission``; a customer (None) has none at all."""
    return role is not None and permission in PERMISSIONS[role]
