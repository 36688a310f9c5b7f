"""A customer's balance transactions: each change of what the next invoice settles, and why."""

from sandbox.stripe.billing import balances
from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import check_metadata, merged_metadata

_KIND = "customer_balance_transaction"
_URL = "/v1/customers/{id}/balance_transactions"


@route("POST", _URL)
def create(call: Call, id: str) -> Row:
    params = call.params
    customer = call.world.get("customer", id, "customer")
    call.world.live_with(customer)
    metadata = params.get("metadata") or {}
    check_metadata(metadata)
    amount, currency = params["amount"], params["currency"].lower()
    previous = {"balance": customer.body["balance"]}
    entry = balances.move(
        call.world,
        customer,
        amount,
        currency,
        "adjustment",
        description=params.get("description"),
        metadata=metadata,
    )
    call.world.emit("customer.updated", customer, previous)
    return entry


@route("GET", _URL + "/{transaction}")
def retrieve(call: Call, id: str, transaction: str) -> Row:
    call.world.get("customer", id, "customer")
    return call.world.get(_KIND, transaction, "transaction")


@route("POST", _URL + "/{transaction}")
def update(call: Call, id: str, transaction: str) -> Row:
    call.world.get("customer", id, "customer")
    row = call.world.get(_KIND, transaction, "transaction")
    changes = call.pick("description")
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(row.body["metadata"], call.params["metadata"])
    call.world.change(row, changes)
    return row


@route("GET", _URL)
def list_(call: Call, id: str) -> Json:
    call.world.get("customer", id, "customer")
    where, values = ["json_extract(body, '$.customer') = ?"], [id]
    if call.params.get("invoice"):
        where.append("json_extract(body, '$.invoice') = ?")
        values.append(call.params["invoice"])
    return listed(call, _KIND, _URL.replace("{id}", id), where=where, values=values)
