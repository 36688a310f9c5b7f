"""Whether every row of the shop's says what Stripe says, read without the shop's own code."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.clock_run.books import Books, refusal_of, subscription_of
from sandbox.clock_run.site import Site
from sandbox.clock_run.stripe import Json, id_of

SUBSCRIPTIONS = """
    SELECT s.stripe_id AS id, c.stripe_customer_id AS customer, s.status, s.item_id,
           s.stripe_price_id, s.interval, s.interval_count, s.currency, s.unit_amount, s.quantity,
           s.discounts, s.started_at, s.current_period_start, s.current_period_end, s.trial_start,
           s.trial_end, s.cancel_at_period_end, s.cancel_at, s.canceled_at, s.ended_at,
           s.cancellation_reason, s.pause_behavior, s.pause_resumes_at, s.default_payment_method,
           s.latest_invoice, s.livemode
    FROM subscription s JOIN billing_customer c ON c.id = s.customer_id
"""
INVOICES = """
    SELECT i.stripe_id AS id, c.stripe_customer_id AS customer, s.stripe_id AS subscription,
           i.status, i.number, i.billing_reason, i.currency, i.subtotal, i.total, i.amount_due,
           i.amount_paid, i.amount_remaining, i.attempt_count, i.next_payment_attempt,
           i.period_start, i.period_end, i.issued_at, i.finalized_at, i.paid_at, i.voided_at,
           i.marked_uncollectible_at, i.hosted_invoice_url, i.invoice_pdf, i.payment_intent,
           i.lines, i.livemode
    FROM invoice i JOIN billing_customer c ON c.id = i.customer_id
         LEFT JOIN subscription s ON s.id = i.subscription_id
"""
CUSTOMERS = """
    SELECT stripe_customer_id AS id, email, payment_method_id, card_brand, card_last4,
           card_exp_month, card_exp_year
    FROM billing_customer WHERE stripe_customer_id IS NOT NULL
"""
ATTEMPTS = """
    SELECT a.charge_id AS id, i.stripe_id AS invoice, a.at, a.amount, a.succeeded,
           a.payment_method_id, a.card_last4, a.decline_code
    FROM payment_attempt a JOIN invoice i ON i.id = a.invoice_id WHERE a.charge_id NOT LIKE 'in_%%'
"""
DISCOUNTS = """
    SELECT id, coupon_id, percent_off, amount_off, duration, start, "end" FROM billing_discount
"""
ENDED = ("canceled", "incomplete_expired")


@dataclass(slots=True)
class Mirror:
    """Compares kind by kind; ``alike`` counts objects and the fields of each."""

    site: Site
    books: Books
    #: Every discount that was given, with its coupon.
    given: dict[str, Json]
    breaches: list[str] = field(default_factory=list)
    alike: dict[str, str] = field(default_factory=dict)

    def compare(self) -> None:
        books = self.books
        self._compare("subscription", SUBSCRIPTIONS, map(_subscription, books.subscriptions))
        self._compare("invoice", INVOICES, map(_invoice, books.invoices))
        cards = _cards_charged(books.subscriptions)
        self._compare("customer", CUSTOMERS, (_customer(each, cards) for each in books.customers))
        self._compare("charge", ATTEMPTS, (_charge(*each) for each in books.charges))
        self._compare("discount", DISCOUNTS, map(_discount, self.given.values()))

    def _compare(self, kind: str, query: str, told: Iterable[Json]) -> None:
        ours = {row["id"]: row for row in self._rows(query)}
        theirs = {each["id"]: each for each in told}
        for id in sorted(ours.keys() - theirs.keys()):
            self._breach(f"{kind} {id} is not Stripe's.")
        for id in sorted(theirs.keys() - ours.keys()):
            self._breach(f"{kind} {id} is Stripe's, and the shop does not have it.")
        same = 0
        for id in ours.keys() & theirs.keys():
            differing = [name for name, value in theirs[id].items() if ours[id][name] != value]
            same += not differing
            for name in differing:
                self._breach(
                    f"{kind} {id}: {name} is {ours[id][name]!r} here and "
                    f"{theirs[id][name]!r} at Stripe."
                )
        fields = len(next(iter(theirs.values()), {}))
        self.alike[f"{kind}s"] = f"{same} of {len(theirs)} alike in {fields} fields"

    def _breach(self, sentence: str) -> None:
        self.breaches.append(sentence)

    def _rows(self, query: str) -> list[Json]:
        return [
            {name: _plain(name, value) for name, value in row.items()}
            for row in self.site.rows(query)
        ]


def _plain(name: str, value: Any) -> Any:
    """A column as JSON would have it: seconds for times, ids for discounts, tuples for lines."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if name == "discounts":
        return sorted(each["id"] for each in value)
    if name == "lines":
        return [
            (
                *(line["description"], line["amount"], line["quantity"], line["proration"]),
                *(_seconds(line["start"]), _seconds(line["end"])),
            )
            for line in value
        ]
    return value


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _subscription(body: Json) -> Json:
    item = body["items"]["data"][0]
    pause = body["pause_collection"] or {}
    same = (
        *("id", "customer", "status", "currency", "trial_start", "trial_end", "cancel_at"),
        *("cancel_at_period_end", "canceled_at", "ended_at", "livemode"),
    )
    return {name: body[name] for name in same} | {
        "item_id": item["id"],
        "stripe_price_id": item["price"]["id"],
        "interval": item["price"]["recurring"]["interval"],
        "interval_count": item["price"]["recurring"]["interval_count"],
        "unit_amount": item["price"]["unit_amount"],
        "quantity": item["quantity"],
        "discounts": sorted(id_of(each) for each in body["discounts"]),
        "started_at": body["start_date"],
        "current_period_start": item["current_period_start"],
        "current_period_end": item["current_period_end"],
        "cancellation_reason": (body["cancellation_details"] or {}).get("reason"),
        "pause_behavior": pause.get("behavior"),
        "pause_resumes_at": pause.get("resumes_at"),
        "default_payment_method": id_of(body["default_payment_method"]),
        "latest_invoice": id_of(body["latest_invoice"]),
    }


def _invoice(body: Json) -> Json:
    changes = body["status_transitions"]
    same = (
        *("id", "customer", "status", "number", "billing_reason", "currency", "subtotal", "total"),
        *("amount_due", "amount_paid", "amount_remaining", "attempt_count", "period_start"),
        *("period_end", "next_payment_attempt", "hosted_invoice_url", "invoice_pdf", "livemode"),
    )
    return {name: body[name] for name in same} | {
        "subscription": subscription_of(body),
        "issued_at": changes["finalized_at"] or body["created"],
        "finalized_at": changes["finalized_at"],
        "paid_at": changes["paid_at"],
        "voided_at": changes["voided_at"],
        "marked_uncollectible_at": changes["marked_uncollectible_at"],
        "payment_intent": _intent(body),
        "lines": [_line(line) for line in body["lines"]["data"]],
    }


def _intent(invoice: Json) -> Any:
    """What pays it, or is to pay it: for one that was taken back, nothing any more."""
    payments = (each for each in invoice["payments"]["data"] if each["status"] != "canceled")
    return next((id_of(each["payment"].get("payment_intent")) for each in payments), None)


def _line(line: Json) -> tuple[Any, ...]:
    parent = line["parent"] or {}
    about = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return (
        line["description"],
        line["amount"],
        line["quantity"],
        bool(about.get("proration")),
        line["period"]["start"],
        line["period"]["end"],
    )


def _cards_charged(subscriptions: list[Json]) -> dict[str, Json]:
    """The card that each customer's living subscription is charged to, where it has its own."""
    return {
        each["customer"]: each["default_payment_method"]
        for each in subscriptions
        if each["status"] not in ENDED and each["default_payment_method"]
    }


def _customer(body: Json, cards: dict[str, Json]) -> Json:
    own = body["invoice_settings"]["default_payment_method"]
    told: Json = {"id": body["id"], "email": body["email"], "payment_method_id": id_of(own)}
    if body["id"] not in cards:
        # Without a living subscription nothing is charged: which card is shown says nothing.
        return told
    card = cards[body["id"]]["card"]
    return told | {
        "card_brand": card["brand"],
        "card_last4": card["last4"],
        "card_exp_month": card["exp_month"],
        "card_exp_year": card["exp_year"],
    }


def _charge(body: Json, invoice: str) -> Json:
    return {
        "id": body["id"],
        "invoice": invoice,
        "at": body["created"],
        "amount": body["amount"],
        "succeeded": body["status"] == "succeeded",
        "payment_method_id": body["payment_method"],
        "card_last4": body["payment_method_details"]["card"]["last4"],
        "decline_code": refusal_of(body),
    }


def _discount(body: Json) -> Json:
    coupon = body["coupon"]
    same = ("percent_off", "amount_off", "duration")
    return {name: coupon[name] for name in same} | {
        "id": body["id"],
        "coupon_id": coupon["id"],
        "start": body["start"],
        "end": body["end"],
    }
