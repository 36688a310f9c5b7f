"""Subscriptions: read, changed, ended, and what a change would cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from webapp.payments.errors import StripeRefused
from webapp.payments.gateway.client import Errors, client, fetch, fetch_all, id_of
from webapp.payments.gateway.customers import Card, card_of
from webapp.payments.gateway.moments import moment, sure_moment

if TYPE_CHECKING:
    from stripe.params import (
        SubscriptionCancelParams,
        SubscriptionUpdateParams,
    )

EXPAND = ["default_payment_method", "discounts.source.coupon"]
EXPAND_LISTED = ["data.default_payment_method", "data.discounts"]


@dataclass(frozen=True, slots=True)
class Discount:
    """What is taken off. ``percent_off`` of 100, or ``amount_off`` in minor units.

    ``duration``: once, repeating (until ``end``), forever.
    """

    id: str
    coupon: str
    percent_off: float | None
    amount_off: int | None
    duration: str
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A subscription with its one item, in Stripe's words; its period is that of the item.

    ``discounts`` are those explained; an event's snapshot only names them in ``discount_ids``.
    """

    id: str
    customer: str
    status: str
    item_id: str
    price_id: str
    product_id: str | None
    interval: str
    interval_count: int
    currency: str
    unit_amount: int
    quantity: int
    discount_ids: tuple[str, ...]
    discounts: tuple[Discount, ...]
    started_at: datetime
    current_period_start: datetime
    current_period_end: datetime
    trial_start: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    cancellation_reason: str | None
    pause_behavior: str | None
    pause_resumes_at: datetime | None
    default_payment_method: str | None
    card: Card | None
    latest_invoice: str | None
    livemode: bool
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A line of an invoice to come; credit for unused time is negative."""

    description: str
    amount: int
    proration: bool
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would be charged. ``amount_due`` is what the next invoice takes."""

    amount_due: int
    currency: str
    lines: tuple[PreviewLine, ...]
    proration_date: datetime

    @property
    def proration(self) -> int:
        """What the change itself costs; negative is a credit."""
        return sum(line.amount for line in self.lines if line.proration)


def get_subscription(subscription_id: str) -> StripeSubscription:
    """Refetch a subscription. Raises NoSuchStripeObject, StripeUnavailable."""
    return subscription_of(fetch("subscriptions", subscription_id, expand=EXPAND))


def list_subscriptions(customer_id: str | None = None) -> Iterator[StripeSubscription]:
    """Yield subscriptions that weren't canceled, newest first, page by page."""
    params: dict[str, Any] = {"expand": EXPAND_LISTED}
    if customer_id:
        params["customer"] = customer_id
    for found in fetch_all("subscriptions", **params):
        yield subscription_of(found)


def change_subscription(subscription_id: str, params: dict[str, Any], key: str) -> None:
    """Change what Stripe's update takes. Raises StripeRefused with its sentence."""
    with Errors():
        client().v1.subscriptions.update(
            subscription_id, cast("SubscriptionUpdateParams", params), {"idempotency_key": key}
        )


def cancel_subscription(subscription_id: str, params: dict[str, Any], key: str) -> None:
    """End a subscription now. One that has ended already is ended all the same."""
    try:
        with Errors():
            client().v1.subscriptions.cancel(
                subscription_id, cast("SubscriptionCancelParams", params), {"idempotency_key": key}
            )
    except StripeRefused:
        if get_subscription(subscription_id).ended_at is None:
            raise


def preview_change(
    subscription_id: str, item_id: str, price_id: str, quantity: int, proration_date: datetime
) -> Preview:
    """Return what changing to ``price_id`` at ``proration_date`` would cost. Changes nothing."""
    with Errors():
        found = client().v1.invoices.create_preview(
            {
                "subscription": subscription_id,
                "subscription_details": {
                    "items": [{"id": item_id, "price": price_id, "quantity": quantity}],
                    "proration_behavior": "always_invoice",
                    "proration_date": int(proration_date.timestamp()),
                },
            }
        )
    body = found.to_dict()
    lines = tuple(_preview_line(line) for line in body["lines"]["data"])
    return Preview(body["amount_due"], body["currency"], lines, proration_date)


def _preview_line(line: Mapping[str, Any]) -> PreviewLine:
    return PreviewLine(
        description=line.get("description") or "",
        amount=line["amount"],
        proration=is_proration(line),
        start=sure_moment(line["period"]["start"]),
        end=sure_moment(line["period"]["end"]),
    )


def is_proration(line: Mapping[str, Any]) -> bool:
    """Return whether an invoice's line is for a part of a period."""
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return bool(details.get("proration"))


def subscription_of(body: Mapping[str, Any]) -> StripeSubscription:
    """Read a subscription's JSON: a refetched one, or the snapshot in a signed event."""
    item = body["items"]["data"][0]
    price = item["price"]
    recurring = price.get("recurring") or {}
    pause = body.get("pause_collection") or {}
    discounts = body.get("discounts") or []
    method = body.get("default_payment_method")
    # An account's older version, in whose words listed events speak, has it on the subscription.
    period = item if "current_period_end" in item else body
    return StripeSubscription(
        id=body["id"],
        customer=str(_id(body["customer"])),
        status=body["status"],
        item_id=item["id"],
        price_id=price["id"],
        product_id=_id(price.get("product")),
        interval=recurring.get("interval", "month"),
        interval_count=recurring.get("interval_count", 1),
        currency=body["currency"],
        unit_amount=price.get("unit_amount") or 0,
        quantity=item.get("quantity") or 0,
        discount_ids=tuple(str(_id(each)) for each in discounts),
        discounts=tuple(discount_of(each) for each in discounts if isinstance(each, dict)),
        started_at=sure_moment(body["start_date"]),
        current_period_start=sure_moment(period["current_period_start"]),
        current_period_end=sure_moment(period["current_period_end"]),
        trial_start=moment(body.get("trial_start")),
        trial_end=moment(body.get("trial_end")),
        cancel_at_period_end=bool(body.get("cancel_at_period_end")),
        cancel_at=moment(body.get("cancel_at")),
        canceled_at=moment(body.get("canceled_at")),
        ended_at=moment(body.get("ended_at")),
        cancellation_reason=(body.get("cancellation_details") or {}).get("reason"),
        pause_behavior=pause.get("behavior"),
        pause_resumes_at=moment(pause.get("resumes_at")),
        default_payment_method=_id(method),
        card=card_of(method) if isinstance(method, dict) else None,
        latest_invoice=_id(body.get("latest_invoice")),
        livemode=bool(body.get("livemode")),
        metadata=dict(body.get("metadata") or {}),
    )


def discount_of(body: Mapping[str, Any]) -> Discount:
    """Read a discount whose coupon is expanded; one that isn't takes nothing off."""
    coupon = (body.get("source") or {}).get("coupon") or {}
    terms = coupon if isinstance(coupon, dict) else {"id": coupon}
    return Discount(
        id=body["id"],
        coupon=terms.get("id", ""),
        percent_off=terms.get("percent_off"),
        amount_off=terms.get("amount_off"),
        duration=terms.get("duration", "once"),
        start=sure_moment(body["start"]),
        end=moment(body.get("end")),
    )


def _id(value: Any) -> str | None:
    return value["id"] if isinstance(value, dict) else id_of(value)
