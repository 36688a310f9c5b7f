"""The room of differences: where our rows and Stripe's objects disagreed, mended by one press."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement

from admin.base import Column, Filter, Link, Room, action, signature
from admin.billing.customers import object_links
from webapp.accounts.permissions import Permission
from webapp.billing.models import BillingDifference
from webapp.billing.services import reconciling

KINDS = ("subscription", "invoice")


class Differences(Room):
    """What the nightly comparison found."""

    noun = "difference"
    intro = (
        "Every night all living subscriptions and recent invoices are compared with Stripe's. "
        "Stripe is right: Repair fetches the object anew."
    )
    empty = "None was ever found: what is here is what Stripe has."
    search_hint = "sub_… or in_…"
    columns = (
        Column("object", "Object", "link"),
        Column("field", "What"),
        Column("ours", "Here", "short"),
        Column("theirs", "At Stripe", "short"),
        Column("state", "State", "pill"),
        Column("found_at", "Found", "moment", sort=BillingDifference.found_at),
        Column("repaired_at", "Repaired", "moment"),
        Column("repaired_by", "By"),
    )
    facts = (
        Column("object", "Object", "link"),
        Column("field", "What"),
        Column("ours", "Here", "code"),
        Column("theirs", "At Stripe", "code"),
        Column("found_at", "Found", "moment"),
        Column("repaired_at", "Repaired", "moment"),
        Column("repaired_by", "By"),
    )
    filters = (
        Filter(
            "state",
            "State",
            [("open", "Open"), ("repaired", "Repaired")],
            lambda value: (
                BillingDifference.repaired_at.is_(None)
                if value == "open"
                else BillingDifference.repaired_at.is_not(None)
            ),
        ),
        Filter(
            "kind",
            "Kind",
            [(kind, kind.capitalize()) for kind in KINDS],
            lambda value: BillingDifference.kind == value,
        ),
    )

    def search(self, text: str) -> ColumnElement[bool]:
        return BillingDifference.stripe_id == text

    def gather(self, rows: Sequence[BillingDifference]) -> Mapping[Any, Mapping[str, Any]]:
        links = object_links([row.stripe_id for row in rows])
        return {
            row.id: {
                "object": links.get(row.stripe_id, Link(row.stripe_id, None)),
                "field": row.field.replace("_", " ").capitalize(),
                "state": "open" if row.repaired_at is None else "done",
            }
            for row in rows
        }

    def detail(self, row: BillingDifference) -> dict[str, Any]:
        return {"gathered": self.gather([row])[row.id]}

    def title_of(self, row: BillingDifference) -> str:
        return f"{row.stripe_id}, {row.field.replace('_', ' ')}"

    @action(
        "Repair",
        permission=Permission.BILLING_ACT,
        verb="repaired",
        tone="primary",
        bulk=True,
        when=lambda row: row.repaired_at is None,
    )
    def repair(self, row: BillingDifference) -> str:
        name = row.stripe_id
        # Another field of the same object may have been repaired a moment ago, and this with it.
        if row.repaired_at is None:
            reconciling.repair(row.id, signature())
        return f"{name} is as Stripe has it now."
