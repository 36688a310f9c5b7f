"""The invoices that were to be chased, by Stripe's own words: since when, why, and until when."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.clock_run.books import Books, refusal_of, subscription_of
from sandbox.clock_run.stripe import Json

LEFT_ALONE = ("subscription_create", "manual")
#: A bank that wants to hear of the customer refuses without a charge.
WITHOUT_CHARGE = "authentication_required"


@dataclass(frozen=True, slots=True)
class Close:
    """How a case may have ended, and the moment which that makes its end."""

    state: str
    at: int | None


@dataclass(slots=True)
class Debt:
    """One invoice whose first charge failed. All times are Stripe's seconds."""

    invoice: Json
    subscription: Json | None
    opened: int
    refusals: list[tuple[int, str]] = field(default_factory=list)

    @property
    def opened_at(self) -> datetime:
        return datetime.fromtimestamp(self.opened, UTC)

    @property
    def ended(self) -> int | None:
        """When its subscription ended, if it did."""
        found: int | None = self.subscription["ended_at"] if self.subscription else None
        return found

    @property
    def is_owed(self) -> bool:
        """Whether it is still to be chased."""
        return self.invoice["status"] == "open" and self.ended is None

    def closes(self) -> list[Close]:
        """What may have become of its case: money that comes after the end changes nothing."""
        told = self.invoice["status_transitions"]
        left = [Close("lost", self.ended), Close("voluntary", self.ended)] if self.ended else []
        given_up = told["voided_at"] or told["marked_uncollectible_at"]
        match self.invoice["status"]:
            case "paid":
                state = "recovered" if self.invoice["amount_paid"] else "written_off"
                paid = told["paid_at"]
                before = left if self.ended and self.ended <= paid else []
                return [Close(state, paid), *before]
            case "void" | "uncollectible":
                survived = self.ended is None or given_up < self.ended
                return [*left, *([Close("written_off", given_up)] if survived else [])]
            case _:
                return left or [Close("open", None)]

    def refusal_at(self, moment: int | None) -> str:
        """The newest refusal by a moment."""
        by_then = [each for each in self.refusals if moment is None or each[0] <= moment]
        return max(by_then, default=(0, WITHOUT_CHARGE))[1]


def read_debts(books: Books) -> dict[str, Debt]:
    """Return them by their invoices."""
    invoices = {each["id"]: each for each in books.invoices}
    subscriptions = {each["id"]: each for each in books.subscriptions}
    debts: dict[str, Debt] = {}
    for at, id in _failures(books.events):
        if id in invoices and id not in debts:
            owner = subscriptions.get(subscription_of(invoices[id]) or "")
            debts[id] = Debt(invoices[id], owner, at)
    for charge, id in books.charges:
        code = refusal_of(charge)
        if id in debts and code is not None:
            debts[id].refusals.append((charge["created"], code))
            debts[id].opened = min(debts[id].opened, charge["created"])
    return debts


def _failures(events: Iterable[Json]) -> Iterable[tuple[int, str]]:
    for event in events:
        about = event["data"]["object"]
        if event["type"] == "invoice.payment_failed" and about["billing_reason"] not in LEFT_ALONE:
            yield event["created"], about["id"]
