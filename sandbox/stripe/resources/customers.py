"""Customers: who pays, with the cards they keep."""

import re
from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.billing import ending
from sandbox.stripe.expand import includable
from sandbox.stripe.ids import letters, new_id
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import payment_methods
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import TEST_CLOCK, World, check_metadata, merged_metadata

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*")
_PLAIN = ("balance", "description", "email", "name", "phone", "preferred_locales", "tax_exempt")
_UNSUPPORTED = (
    "business_name",
    "cash_balance",
    "individual_name",
    "invoice_prefix",
    "next_invoice_sequence",
    "source",
    "tax",
    "tax_id_data",
)
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def full_address(sent: Json | None) -> Json | None:
    """An address with every key Stripe shows, None where nothing was given."""
    return None if sent is None else {name: sent.get(name) or None for name in ADDRESS}


def check_email(email: str | None, param: str = "email") -> None:
    if email and not _EMAIL.fullmatch(email):
        raise errors.invalid(f"Invalid email address: {email}", param, "email_invalid")


def _shipping(sent: Json | None) -> Json | None:
    if sent is None:
        return None
    return {
        "address": full_address(sent["address"]),
        "name": sent["name"],
        "phone": sent.get("phone"),
    }


def new_customer(world: World, params: Json) -> Row:
    """Keep a customer; used by the route and by Checkout."""
    check_email(params.get("email"))
    check_metadata(params.get("metadata") or {})
    clock = params.get("test_clock")
    if clock:
        world.named(TEST_CLOCK, clock, "test_clock")
    body: Json = {
        "address": full_address(params.get("address")),
        "balance": 0,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": letters(8).upper(),
        "invoice_settings": _invoice_settings({}, params.get("invoice_settings") or {}),
        "metadata": params.get("metadata") or {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": _shipping(params.get("shipping")),
        "tax_exempt": "none",
        "test_clock": clock,
        **{name: params[name] for name in _PLAIN if params.get(name) is not None},
    }
    customer = Row(world.account, "customer", new_id("customer"), body, {})
    world.live_with(customer)
    return world.add("customer", body, id=customer.id)


def _invoice_settings(current: Json, sent: Json) -> Json:
    names = ("custom_fields", "default_payment_method", "footer", "rendering_options")
    return {name: sent.get(name, current.get(name)) for name in names}


@route("POST", "/v1/customers")
def create(call: Call) -> Row:
    errors.unsupported(call.params, _UNSUPPORTED)
    customer = new_customer(call.world, call.params)
    call.world.emit("customer.created", customer)
    if call.params.get("payment_method"):
        method = payment_methods.usable(call.world, call.params["payment_method"])
        payment_methods.attach_to(call.world, method, customer)
    default = customer.body["invoice_settings"]["default_payment_method"]
    if default:
        _check_default(call.world, customer, default)
    return customer


def _check_default(world: World, customer: Row, id: str) -> None:
    method = payment_methods.usable(world, id)
    if method.body["customer"] != customer.id:
        raise errors.invalid(
            f"The customer does not have a payment method with the ID {id}. The payment method "
            "must be attached to the customer.",
            "invoice_settings[default_payment_method]",
            "resource_missing",
        )


@route("GET", "/v1/customers/{id}")
def retrieve(call: Call, id: str) -> Row:
    row = call.world.find("customer", id)
    if row is None:
        raise errors.missing("customer", id)
    return row


@route("POST", "/v1/customers/{id}")
def update(call: Call, id: str) -> Row:
    errors.unsupported(call.params, _UNSUPPORTED)
    customer, params = call.world.get("customer", id), call.params
    call.world.live_with(customer)
    check_email(params.get("email"))
    changes = call.pick(*_PLAIN)
    if "address" in params:
        changes["address"] = full_address(params["address"])
    if "shipping" in params:
        changes["shipping"] = _shipping(params["shipping"])
    if "invoice_settings" in params:
        changes["invoice_settings"] = _invoice_settings(
            customer.body["invoice_settings"], params["invoice_settings"]
        )
        if params["invoice_settings"].get("default_payment_method"):
            default = params["invoice_settings"]["default_payment_method"]
            _check_default(call.world, customer, default)
    if "metadata" in params:
        changes["metadata"] = merged_metadata(customer.body["metadata"], params["metadata"])
    previous = call.world.change(customer, changes)
    call.world.emit("customer.updated", customer, previous)
    return customer


@route("DELETE", "/v1/customers/{id}")
def delete(call: Call, id: str) -> Json:
    customer = call.world.get("customer", id)
    call.world.live_with(customer)
    for subscription in subscriptions_of(call.world, customer):
        ending.end(call.world, subscription)
    call.world.emit("customer.deleted", customer)
    return call.world.delete(customer)


def subscriptions_of(world: World, customer: Row) -> list[Row]:
    """The customer's subscriptions that have not ended."""
    where = ["json_extract(body, '$.customer') = ?", "json_extract(body, '$.ended_at') IS NULL"]
    return world.rows("subscription", where, [customer.id])


@route("GET", "/v1/customers")
def list_(call: Call) -> Json:
    where = [] if call.params.get("test_clock") else ["json_extract(body, '$.test_clock') IS NULL"]
    return listed(call, "customer", "/v1/customers", ("email", "test_clock"), where)


@route("GET", "/v1/customers/{id}/payment_methods")
def list_payment_methods(call: Call, id: str) -> Json:
    call.world.get("customer", id)
    return listed(
        call,
        "payment_method",
        f"/v1/customers/{id}/payment_methods",
        ("type", "allow_redisplay"),
        ["json_extract(body, '$.customer') = ?"],
        [id],
    )


@route("GET", "/v1/customers/{id}/payment_methods/{method}")
def retrieve_payment_method(call: Call, id: str, method: str) -> Row:
    call.world.get("customer", id)
    row = call.world.get("payment_method", method, "payment_method")
    if row.body["customer"] != id:
        raise errors.missing("payment_method", method, "payment_method")
    return row


def _empty(name: str) -> None:
    @includable("customer", name)
    def empty(_world: World, customer: Json) -> Any:
        url = f"/v1/customers/{customer['id']}/{name}"
        return {"object": "list", "data": [], "has_more": False, "url": url}


for _name in ("sources", "tax_ids"):
    _empty(_name)
