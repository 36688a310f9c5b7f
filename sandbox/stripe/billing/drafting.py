"""Draft invoices: gathering lines and pending items, and pricing them."""

from dataclasses import dataclass, field

from sandbox.stripe.billing import invoice_body, lines, offers, pricing
from sandbox.stripe.billing.lines import Line
from sandbox.stripe.billing.periods import DAY, HOUR
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@dataclass(slots=True)
class Bill:
    """What an invoice is to be made of."""

    customer: Row
    currency: str
    reason: str
    subscription: Row | None = None
    lines: list[Line] = field(default_factory=list)
    period: tuple[int, int] | None = None
    #: Whether pending invoice items of the customer come along.
    pending: bool = True
    more: Json = field(default_factory=dict)
    discounts: list[str] = field(default_factory=list)


def draft(world: World, bill: Bill) -> Row:
    """Keep a draft; nobody is told of it yet, and nothing waits to finalise it."""
    waiting = pending_items(world, bill.customer, bill.currency, bill.subscription)
    waiting = waiting if bill.pending else []
    all_lines = [*(lines.pending_line(row) for row in waiting), *bill.lines]
    body = invoice_body.new_body(bill.customer, bill.currency, bill.reason, world.now)
    if bill.subscription is not None:
        body |= invoice_body.from_subscription(bill.subscription)
    body |= bill.more
    if bill.period:
        body["period_start"], body["period_end"] = bill.period
    if body["collection_method"] == "send_invoice" and not body["due_date"]:
        days = bill.subscription.body["days_until_due"] if bill.subscription else 30
        body["due_date"] = world.now + (days or 0) * DAY
    private: Json = {"lane": bill.subscription.id if bill.subscription else None}
    invoice = world.add("invoice", body, private)
    for row in waiting:
        world.change(row, {"invoice": invoice.id})
    reprice(world, invoice, all_lines, _discounts(world, bill))
    if bill.subscription is not None:
        _join(bill.subscription, invoice)
    return invoice


def _discounts(world: World, bill: Bill) -> pricing.Offers:
    ids = bill.discounts or (bill.subscription.body["discounts"] if bill.subscription else [])
    return offers.running(world, ids)


def reprice(
    world: World, invoice: Row, all_lines: list[Line], discounts: pricing.Offers | None = None
) -> None:
    """Price a draft's lines and save them with it."""
    if discounts is None:
        discounts = offers.running(world, invoice.body["discounts"])
    pricing.price(invoice.body, all_lines, discounts)
    for line in all_lines:
        line.body["invoice"] = invoice.id
    invoice.private["lines"] = lines.kept(all_lines)
    invoice.body["lines"] = lines.shown(all_lines, invoice.id)
    world.save(invoice)


def spend_once(world: World, subscription: Row, invoice: Row) -> None:
    """Take off the discounts that were good for one invoice; the caller saves the subscription."""
    for part in invoice.body["total_discount_amounts"]:
        row = world.find("discount", part["discount"])
        if row and part["amount"] and row.private["duration"] == "once":
            subscription.body["discounts"] = [
                id for id in subscription.body["discounts"] if id != row.id
            ]
            offers.end(world, row)


def _join(subscription: Row, invoice: Row) -> None:
    """The caller saves the subscription."""
    subscription.body["latest_invoice"] = invoice.id
    unpaid = subscription.private.setdefault("unpaid", [])
    unpaid.append(invoice.id)


def pending_items(
    world: World, customer: Row, currency: str, subscription: Row | None
) -> list[Row]:
    """Invoice items that wait for this invoice, oldest first."""
    rows = world.rows(
        "invoiceitem",
        ["json_extract(body, '$.customer') = ?", "json_extract(body, '$.invoice') IS NULL"],
        [customer.id],
    )
    wanted = subscription.id if subscription else None
    return [
        row
        for row in reversed(rows)
        if row.body["currency"] == currency and subscription_of(row) in (None, wanted)
    ]


def subscription_of(item: Row) -> str | None:
    details = (item.body["parent"] or {}).get("subscription_details") or {}
    return details.get("subscription")


def finalize_later(world: World, invoice: Row) -> None:
    """Give whoever listens an hour to change the draft, as Stripe does."""
    due = world.now + HOUR
    automatic = invoice.body["collection_method"] == "charge_automatically"
    world.change(
        invoice,
        {"automatically_finalizes_at": due, "next_payment_attempt": due if automatic else None},
    )
    world.set_timer(invoice.id, "finalize", due)


def hold(world: World, invoice: Row) -> None:
    """Leave a draft to whoever may finalise it by hand."""
    world.drop_timer(invoice.id, "finalize")
    changes = {
        "auto_advance": False,
        "automatically_finalizes_at": None,
        "next_payment_attempt": None,
    }
    world.change(invoice, changes)
