"""What Stripe has written down of everybody at the end of a run, read once for all comparisons."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sandbox.clock_run.stripe import Json, Stripe, id_of


@dataclass
class Books:
    """The sandbox's objects as they are listed, each kind read when it is first asked for."""

    stripe: Stripe

    @cached_property
    def subscriptions(self) -> list[Json]:
        expand = {"expand[]": "data.default_payment_method"}
        return list(self.stripe.all("subscriptions", status="all", **expand))

    @cached_property
    def invoices(self) -> list[Json]:
        return list(self.stripe.all("invoices", **{"expand[]": "data.payments"}))

    @cached_property
    def customers(self) -> list[Json]:
        expand = {"expand[]": "data.invoice_settings.default_payment_method"}
        return list(self.stripe.all("customers", **expand))

    @cached_property
    def charges(self) -> list[tuple[Json, str]]:
        """Charges with the invoice of each; the shop has no other business here."""
        return list(self._charges())

    @cached_property
    def events(self) -> list[Json]:
        """All there ever were, oldest first."""
        return list(self.stripe.all("events"))[::-1]

    def _charges(self) -> Iterator[tuple[Json, str]]:
        owners = {
            id_of(payment["payment"].get("payment_intent")): invoice["id"]
            for invoice in self.invoices
            for payment in invoice["payments"]["data"]
        }
        for charge in self.stripe.all("charges"):
            if charge["payment_intent"] in owners:
                yield charge, owners[charge["payment_intent"]]


def subscription_of(invoice: Json) -> str | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def refusal_of(charge: Json) -> str | None:
    """Why a charge was refused: the bank's own word where Stripe passes it on."""
    if charge["status"] == "succeeded":
        return None
    found: str | None = (charge["outcome"] or {}).get("reason") or charge["failure_code"]
    return found
