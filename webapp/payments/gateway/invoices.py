"""Invoices and the attempts to have them paid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from webapp.payments.gateway.client import Errors, client, fetch, fetch_all, id_of
from webapp.payments.gateway.moments import moment, sure_moment
from webapp.payments.gateway.subscriptions import PreviewLine, is_proration

if TYPE_CHECKING:
    from stripe.params import InvoicePayParams

EXPAND = ["payments.data.payment.payment_intent"]


@dataclass(frozen=True, slots=True)
class InvoiceLine(PreviewLine):
    quantity: int


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice, refetched, amounts in minor units. ``lines`` are the first ten.

    ``needs_action``: its payment waits for the customer's consent (3-D Secure). ``processing``: a
    bank was asked and takes its days, as for a direct debit. ``payment_intents`` are several where
    it is paid in parts, those still to be paid first.
    """

    id: str
    customer: str
    subscription: str | None
    status: str
    number: str | None
    billing_reason: str
    currency: str
    subtotal: int
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    attempt_count: int
    next_payment_attempt: datetime | None
    period_start: datetime
    period_end: datetime
    created: datetime
    finalized_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    marked_uncollectible_at: datetime | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None
    payment_intents: tuple[str, ...]
    needs_action: bool
    processing: bool
    lines: tuple[InvoiceLine, ...]
    livemode: bool

    @property
    def payment_intent(self) -> str | None:
        return next(iter(self.payment_intents), None)


# From a bank account: these are refused days after they were tried, if at all.
SLOW = frozenset({"acss_debit", "au_becs_debit", "bacs_debit", "sepa_debit", "us_bank_account"})


@dataclass(frozen=True, slots=True)
class Charge:
    """One try to take money. ``decline_code`` is the bank's, or Stripe's own code without one.

    ``pending``: nobody knows yet; ``slow``: a bank account's, which takes days to be known.
    """

    id: str
    created: datetime
    amount: int
    succeeded: bool
    pending: bool
    slow: bool
    decline_code: str | None
    payment_method: str | None
    card_brand: str | None
    card_last4: str | None


def get_invoice(invoice_id: str) -> StripeInvoice:
    """Refetch an invoice. Raises NoSuchStripeObject, StripeUnavailable."""
    return invoice_of(fetch("invoices", invoice_id, expand=EXPAND))


def list_invoices(
    status: str | None = None, since: datetime | None = None, before: datetime | None = None
) -> Iterator[StripeInvoice]:
    """Yield invoices made ``since`` a moment and ``before`` another, newest first, page by page.

    Without what pays them: Stripe would have to look for that invoice by invoice.
    """
    params: dict[str, Any] = {}
    if status:
        params["status"] = status
    bounds = {"gte": since, "lt": before}
    created = {name: int(at.timestamp()) for name, at in bounds.items() if at}
    if created:
        params["created"] = created
    for found in fetch_all("invoices", **params):
        yield invoice_of(found)


def list_charges(payment_intent: str) -> list[Charge]:
    """Return every charge of a payment, oldest first."""
    found = [charge_of(each) for each in fetch_all("charges", payment_intent=payment_intent)]
    return found[::-1]


def pay_invoice(invoice_id: str, payment_method: str | None, key: str) -> None:
    """Try to collect an open invoice now. Raises StripeRefused with the bank's sentence."""
    params: dict[str, Any] = {"payment_method": payment_method} if payment_method else {}
    with Errors():
        client().v1.invoices.pay(
            invoice_id, cast("InvoicePayParams", params), {"idempotency_key": key}
        )


def void_invoice(invoice_id: str, key: str) -> None:
    """Take an open invoice back: nobody owes it any more, for good."""
    with Errors():
        client().v1.invoices.void_invoice(invoice_id, None, {"idempotency_key": key})


def mark_uncollectible(invoice_id: str, key: str) -> None:
    """Write an open invoice off; it can still be paid."""
    with Errors():
        client().v1.invoices.mark_uncollectible(invoice_id, None, {"idempotency_key": key})


def invoice_of(body: Mapping[str, Any]) -> StripeInvoice:
    """Read an invoice's JSON."""
    changes = body.get("status_transitions") or {}
    intents = _payment_intents(body)
    intent = next(iter(intents), None)
    return StripeInvoice(
        id=body["id"],
        customer=str(_id(body["customer"])),
        subscription=_subscription(body),
        status=body["status"] or "draft",
        number=body.get("number"),
        billing_reason=body.get("billing_reason") or "manual",
        currency=body["currency"],
        subtotal=body["subtotal"],
        total=body["total"],
        amount_due=body["amount_due"],
        amount_paid=body["amount_paid"],
        amount_remaining=body["amount_remaining"],
        attempt_count=body["attempt_count"],
        next_payment_attempt=moment(body.get("next_payment_attempt")),
        period_start=sure_moment(body["period_start"]),
        period_end=sure_moment(body["period_end"]),
        created=sure_moment(body["created"]),
        finalized_at=moment(changes.get("finalized_at")),
        paid_at=moment(changes.get("paid_at")),
        voided_at=moment(changes.get("voided_at")),
        marked_uncollectible_at=moment(changes.get("marked_uncollectible_at")),
        hosted_invoice_url=body.get("hosted_invoice_url"),
        invoice_pdf=body.get("invoice_pdf"),
        payment_intents=tuple(str(_id(each)) for each in intents),
        needs_action=_is_intent(intent, "requires_action"),
        processing=_is_intent(intent, "processing"),
        lines=tuple(_line(line) for line in body["lines"]["data"]),
        livemode=bool(body.get("livemode")),
    )


def charge_of(body: Mapping[str, Any]) -> Charge:
    """Read a charge's JSON."""
    details = body.get("payment_method_details") or {}
    card = details.get("card") or {}
    outcome = body.get("outcome") or {}
    succeeded = body["status"] == "succeeded"
    code = outcome.get("reason") or body.get("failure_code")
    return Charge(
        id=body["id"],
        created=sure_moment(body["created"]),
        amount=body["amount"],
        succeeded=succeeded,
        pending=body["status"] == "pending",
        slow=details.get("type") in SLOW,
        decline_code=None if succeeded else code,
        payment_method=_id(body.get("payment_method")),
        card_brand=card.get("brand"),
        card_last4=card.get("last4"),
    )


def _line(line: Mapping[str, Any]) -> InvoiceLine:
    return InvoiceLine(
        description=line.get("description") or "",
        amount=line["amount"],
        proration=is_proration(line),
        start=sure_moment(line["period"]["start"]),
        end=sure_moment(line["period"]["end"]),
        quantity=line.get("quantity") or 1,
    )


def _subscription(body: Mapping[str, Any]) -> str | None:
    parent = body.get("parent") or {}
    return _id((parent.get("subscription_details") or {}).get("subscription"))


def _payment_intents(body: Mapping[str, Any]) -> list[Any]:
    """Return the ids of what pays it, or whole PaymentIntents where they are expanded."""
    payments = (body.get("payments") or {}).get("data") or []
    alive = [each for each in payments if each["status"] != "canceled"]
    alive.sort(key=lambda each: each["status"] == "paid")
    intents = (each["payment"].get("payment_intent") for each in alive)
    return [intent for intent in intents if intent]


def _is_intent(intent: Any, status: str) -> bool:
    return isinstance(intent, dict) and intent["status"] == status


def _id(value: Any) -> str | None:
    return value["id"] if isinstance(value, dict) else id_of(value)
