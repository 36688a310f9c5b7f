"""Checkout Sessions: what to sell, the page's address, and how it ended."""

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.checkout import expiry, lines, opening, pricing
from sandbox.stripe.checkout.shipping import shipping_options
from sandbox.stripe.expand import includable
from sandbox.stripe.listing import listed, sublist
from sandbox.stripe.resources import customers
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, merged_metadata

KIND = "checkout.session"


@route("POST", "/v1/checkout/sessions")
def create(call: Call) -> Row:
    return opening.open_session(call.world, call.params)


def find_session(world: World, id: str) -> Row:
    return expiry.expire_if_due(world, world.get(KIND, id, "session"))


@route("GET", "/v1/checkout/sessions/{id}")
def retrieve(call: Call, id: str) -> Row:
    return find_session(call.world, id)


@route("POST", "/v1/checkout/sessions/{id}")
def update(call: Call, id: str) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, ("line_items", "payment_intent_data"))
    session = find_session(world, id)
    if "metadata" in params:
        merged = merged_metadata(session.body["metadata"], params["metadata"])
        world.change(session, {"metadata": merged})
    if "shipping_options" in params or "collected_information" in params:
        _require_open(session, "updated")
    if "shipping_options" in params:
        options = shipping_options(
            world, params["shipping_options"] or [], session.body["currency"]
        )
        session.body["shipping_options"] = options
        session.private["shipping"] = options[0]["shipping_rate"] if options else None
        pricing.price_session(world, session)
        world.save(session)
    if "collected_information" in params:
        _collect(world, session, params["collected_information"])
    return session


def _collect(world: World, session: Row, sent: Json) -> None:
    shipping = sent.get("shipping_details")
    collected = {
        "business_name": None,
        "individual_name": None,
        "shipping_details": shipping
        and {"address": customers.full_address(shipping["address"]), "name": shipping["name"]},
    }
    world.change(session, {"collected_information": collected})


def _require_open(session: Row, verb: str) -> None:
    status = session.body["status"]
    if status != "open":
        raise errors.invalid(
            f'Only Checkout Sessions with a status in ["open"] can be {verb}. This Checkout '
            f"Session has a status of {status}."
        )


@route("POST", "/v1/checkout/sessions/{id}/expire")
def expire(call: Call, id: str) -> Row:
    session = find_session(call.world, id)
    _require_open(session, "expired")
    expiry.expire(call.world, session)
    return session


@route("GET", "/v1/checkout/sessions/{id}/line_items")
def line_items(call: Call, id: str) -> Json:
    session = call.world.get(KIND, id, "session")
    url = f"/v1/checkout/sessions/{id}/line_items"
    return sublist(_items(session), url, call.params, "item")


def _items(session: Row) -> list[Json]:
    currency = session.body["currency"]
    return [lines.line_item(line, currency) for line in session.private["lines"]]


@route("GET", "/v1/checkout/sessions")
def list_(call: Call) -> Json:
    errors.unsupported(call.params, ("customer_account", "payment_link"))
    where, values = [], []
    email = (call.params.get("customer_details") or {}).get("email")
    if email:
        where.append("lower(json_extract(body, '$.customer_details.email')) = ?")
        values.append(email.lower())
    _expire_overdue(call.world)
    equal = ("status", "payment_intent", "customer", "subscription")
    return listed(call, KIND, "/v1/checkout/sessions", equal, where, values)


def _expire_overdue(world: World) -> None:
    overdue = world.machine.store.all(
        "SELECT id FROM timers WHERE account=? AND what='expire' AND due <= ?",
        (world.account, world.now),
    )
    for (id,) in overdue:
        find_session(world, id)


# What appears only when expanded


@includable(KIND, "line_items")
def _line_items(world: World, session: Json) -> Json:
    row = world.get(KIND, session["id"])
    url = f"/v1/checkout/sessions/{row.id}/line_items"
    return sublist(_items(row), url, {"limit": 10}, "item")


def _discount(row: Row) -> Json:
    """The discount object of a session, which Stripe shows only inside a breakdown."""
    return {
        "id": row.private["discount"],
        "object": "discount",
        "checkout_session": row.id,
        "customer": row.body["customer"],
        "customer_account": None,
        "end": None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": row.private["promotion_code"],
        "source": {"coupon": row.private["coupon"], "type": "coupon"},
        "start": row.body["created"],
        "subscription": None,
        "subscription_item": None,
    }


@includable(KIND, "total_details.breakdown")
def _breakdown(world: World, session: Json) -> Json:
    row = world.get(KIND, session["id"])
    by_rate: dict[str, Json] = {}
    for line in row.private["lines"]:
        for tax in line["taxes"]:
            entry = by_rate.setdefault(tax["rate"]["id"], {**tax, "amount": 0, "taxable_amount": 0})
            entry["amount"] += tax["amount"]
            entry["taxable_amount"] += tax["taxable_amount"]
    amount = row.body["total_details"]["amount_discount"]
    discounts = [{"amount": amount, "discount": _discount(row)}] if row.private["coupon"] else []
    return {"discounts": discounts, "taxes": list(by_rate.values())}


@includable(KIND, "shipping_cost.taxes")
def _shipping_taxes(_world: World, _session: Json) -> list[Json]:
    return []


def _line_of(world: World, item: Json) -> tuple[Row, Json]:
    rows = world.rows(KIND, ["instr(private, ?) > 0"], [item["id"]])
    lines = rows[0].private["lines"]
    return rows[0], next(line for line in lines if line["id"] == item["id"])


@includable("item", "taxes")
def _item_taxes(world: World, item: Json) -> Any:
    return _line_of(world, item)[1]["taxes"]


@includable("item", "discounts")
def _item_discounts(world: World, item: Json) -> Any:
    row, line = _line_of(world, item)
    amount = line["amounts"]["amount_discount"]
    return [{"amount": amount, "discount": _discount(row)}] if row.private["coupon"] else []
