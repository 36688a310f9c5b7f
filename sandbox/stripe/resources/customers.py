"""Customers: who pays, with the cards they keep."""

import re
from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.expand import includable
from sandbox.stripe.ids import letters
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import payment_methods
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

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
    "test_clock",
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
        "test_clock": None,
        **{name: params[name] for name in _PLAIN if params.get(name) is not None},
    }
    return world.add("customer", body)


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
    return customer


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
    if "metadata" in params:
        changes["metadata"] = merged_metadata(customer.body["metadata"], params["metadata"])
    previous = call.world.change(customer, changes)
    call.world.emit("customer.updated", customer, previous)
    return customer


@route("DELETE", "/v1/customers/{id}")
def delete(call: Call, id: str) -> Json:
    customer = call.world.get("customer", id)
    call.world.emit("customer.deleted", customer)
    return call.world.delete(customer)


@route("GET", "/v1/customers")
def list_(call: Call) -> Json:
    return listed(call, "customer", "/v1/customers", ("email",))


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


for _name in ("sources", "subscriptions", "tax_ids"):
    _empty(_name)
