"""The subscription that a completed session starts, with its first payment as already made."""

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.stripe.billing import subscribing
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_PASSED_ON = (
    "billing_mode",
    "default_tax_rates",
    "description",
    "invoice_settings",
    "metadata",
    "trial_end",
    "trial_period_days",
    "trial_settings",
)


def subscribe(world: World, session: Row, customer: Row, intent: Row | None) -> Json:
    """Start it; returns what the session then shows of it."""
    paid = intent if intent is not None and intent.kind == "payment_intent" else None
    with _on_sale(world, session):
        row = subscribing.create(world, _parameters(session, customer, intent), paid)
    return {"subscription": row.id, "invoice": row.body["latest_invoice"]}


@contextmanager
def _on_sale(world: World, session: Row) -> Iterator[None]:
    """The session's prices count as active: those made for it alone never are."""
    ids = {line["price"]["id"] for line in session.private["lines"]}
    rows = [world.get("price", id) for id in sorted(ids)]
    archived = [row for row in rows if not row.body["active"]]
    for row in archived:
        world.change(row, {"active": True})
    yield
    for row in archived:
        world.change(row, {"active": False})


def _parameters(session: Row, customer: Row, intent: Row | None) -> Json:
    """What `POST /v1/subscriptions` would be sent for the session's lines."""
    data = session.private["subscription_data"]
    recurring = [line for line in session.private["lines"] if line["price"]["recurring"]]
    once = [line for line in session.private["lines"] if not line["price"]["recurring"]]
    params: Json = {
        "customer": customer.id,
        "items": [_item(line) for line in recurring],
        **{name: data[name] for name in _PASSED_ON if name in data},
    }
    if once:
        params["add_invoice_items"] = [_item(line) for line in once]
    if session.private["promotion_code"]:
        params["discounts"] = [{"promotion_code": session.private["promotion_code"]}]
    elif session.private["coupon"]:
        params["discounts"] = [{"coupon": session.private["coupon"]}]
    if intent is not None:
        params["default_payment_method"] = intent.body["payment_method"]
    return params


def _item(line: Json) -> Json:
    item: Json = {"price": line["price"]["id"], "quantity": line["quantity"]}
    if line["tax_rates"]:
        item["tax_rates"] = [rate["id"] for rate in line["tax_rates"]]
    return item
