"""Who may do what: each staff role's permissions as data, asked by views before they act.

VIEW shows how the shop is doing: its orders with the addresses their parcels go to, products,
jobs, settings, figures. It shows nobody's account: who the members and prospects are, what they
wrote, were mailed or agreed to takes MEMBERS_VIEW, which begins with members of staff, and what
people did and from where, across all of them, takes AUDIT_VIEW.
"""

from enum import StrEnum

from webapp.accounts.models import Role


class Permission(StrEnum):
    """One thing a member of staff can be trusted with."""

    VIEW = "view"
    ORDERS_SHIP = "orders.ship"
    MAILS_SEND = "mails.send"
    MEMBERS_VIEW = "members.view"
    MEMBERS_NOTE = "members.note"
    CONTACT_ANSWER = "contact.answer"
    CATALOG_EDIT = "catalog.edit"
    DISCOUNTS_EDIT = "discounts.edit"
    ADS_EDIT = "ads.edit"
    CAMPAIGNS_EDIT = "campaigns.edit"
    CAMPAIGNS_SEND = "campaigns.send"
    SUPPRESSION_EDIT = "suppression.edit"
    ORDERS_REFUND = "orders.refund"
    BILLING_EDIT = "billing.edit"
    BILLING_ACT = "billing.act"
    JOBS_RUN = "jobs.run"
    MEMBERS_EDIT = "members.edit"
    STAFF_VIEW = "staff.view"
    STAFF_EDIT = "staff.edit"
    MEMBERS_ERASE = "members.erase"
    TERMS_EDIT = "terms.edit"
    SETTINGS_EDIT = "settings.edit"
    AUDIT_VIEW = "audit.view"


_VIEWER = frozenset({Permission.VIEW})
_STAFF = _VIEWER | {
    Permission.ORDERS_SHIP,
    Permission.MAILS_SEND,
    Permission.MEMBERS_VIEW,
    Permission.MEMBERS_NOTE,
    Permission.CONTACT_ANSWER,
}
_MANAGER = _STAFF | {
    Permission.CATALOG_EDIT,
    Permission.DISCOUNTS_EDIT,
    Permission.ADS_EDIT,
    Permission.CAMPAIGNS_EDIT,
    Permission.CAMPAIGNS_SEND,
    Permission.SUPPRESSION_EDIT,
    Permission.ORDERS_REFUND,
    Permission.BILLING_EDIT,
    Permission.BILLING_ACT,
    Permission.JOBS_RUN,
    Permission.MEMBERS_EDIT,
    Permission.STAFF_VIEW,
}
# Whom somebody with STAFF_EDIT may raise and how far is judged by services/staff.py.
_ADMIN = _MANAGER | {
    Permission.STAFF_EDIT,
    Permission.MEMBERS_ERASE,
    Permission.TERMS_EDIT,
    Permission.SETTINGS_EDIT,
    Permission.AUDIT_VIEW,
}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.STAFF: _STAFF,
    Role.MANAGER: _MANAGER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: frozenset(Permission),
}

MEANINGS: dict[Permission, str] = {
    Permission.VIEW: "Look at orders, products, discounts, jobs, figures and settings",
    Permission.ORDERS_SHIP: "Ship orders and mark them delivered",
    Permission.MAILS_SEND: "Send mails again",
    Permission.MEMBERS_VIEW: "Look at members, prospects, their messages and mails",
    Permission.MEMBERS_NOTE: "Write notes about members and prospects",
    Permission.CONTACT_ANSWER: "Answer contact messages and sort out spam",
    Permission.CATALOG_EDIT: "Change products, prices and stock",
    Permission.DISCOUNTS_EDIT: "Make and change discount codes",
    Permission.ADS_EDIT: "Make and change ads",
    Permission.CAMPAIGNS_EDIT: "Write emails, audiences and sequences, import prospects",
    Permission.CAMPAIGNS_SEND: "Make emails ready, approve, send, pause and cancel them",
    Permission.SUPPRESSION_EDIT: "Change whom no mail goes to",
    Permission.ORDERS_REFUND: "Refund, cancel and accept orders",
    Permission.BILLING_EDIT: "Change plans, their prices and how failed payments are chased",
    Permission.BILLING_ACT: "Cancel, pause and refund subscriptions, charge and write off invoices",
    Permission.JOBS_RUN: "Run failed jobs and events again",
    Permission.MEMBERS_EDIT: "End members' sessions, shut them out, send them a password reset",
    Permission.STAFF_VIEW: "See who works here and in which role",
    Permission.STAFF_EDIT: "Add staff and change roles, up to their own",
    Permission.MEMBERS_ERASE: "Close a member's account for them",
    Permission.TERMS_EDIT: "Write and publish terms of use",
    Permission.SETTINGS_EDIT: "Change the shop's settings, shipping and tax",
    Permission.AUDIT_VIEW: "Read and export the audit",
}


def allows(role: Role | None, permission: Permission) -> bool:
    """Say whether ``role`` includes ``permission``; a customer (None) has none at all."""
    return role is not None and permission in PERMISSIONS[role]
