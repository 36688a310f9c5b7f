"""The log of what Stripe told about subscriptions and invoices, and what became of it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Select

from admin.base import Column, Filter, Link
from admin.billing.customers import object_links
from admin.payments import StripeEvents
from admin.subjects import subject_links
from webapp.accounts.permissions import Permission
from webapp.payments.models import StripeEvent
from webapp.payments.services import BILLED

GROUPS = {
    "subscriptions": ("Subscriptions", "customer.subscription."),
    "invoices": ("Invoices", "invoice."),
    "customers": ("Customers and cards", ""),
}


def _group(value: str) -> ColumnElement[bool]:
    _, beginning = GROUPS[value]
    if beginning:
        return StripeEvent.type.startswith(beginning, autoescape=True)
    others = [begin for _, begin in GROUPS.values() if begin]
    return ~StripeEvent.type.startswith(others[0]) & ~StripeEvent.type.startswith(others[1])


class BillingEvents(StripeEvents):
    """The same rows as those of the engine room, by what they are about."""

    may_see = Permission.MEMBERS_VIEW

    intro = (
        "Every signed fact about subscriptions, invoices and cards, the newest first. Each one "
        "makes us fetch its object anew. A parked event has run out of tries and waits for you."
    )
    search_hint = "Event or object id, or type"
    columns: ClassVar[Sequence[Column]] = (
        Column("type", "Type"),
        Column("state", "State", "pill"),
        Column("object", "Object", "link"),
        Column("about", "About", "link"),
        Column("attempts", "Tries", "number"),
        Column("created", "Happened", "moment"),
        Column("received_at", "Received", "moment", sort=StripeEvent.received_at),
        Column("error", "Last error", "short"),
    )
    filters: ClassVar[Sequence[Filter]] = (
        *StripeEvents.filters,
        Filter(
            "group",
            "About",
            [(key, title) for key, (title, _) in GROUPS.items()],
            _group,
        ),
    )

    def statement(self) -> Select[Any]:
        return super().statement().where(StripeEvent.type.in_(sorted(BILLED)))

    def gather(self, rows: Sequence[Any]) -> Mapping[Any, Mapping[str, Any]]:
        objects = object_links([row.object_id for row in rows if row.object_id])
        abouts = subject_links(row.subject for row in rows)
        return {
            row.id: {
                "object": objects.get(row.object_id) or Link(row.object_id or "", None),
                "about": abouts.get(row.subject or ""),
            }
            for row in rows
        }
