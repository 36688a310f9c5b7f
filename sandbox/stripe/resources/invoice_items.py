"""Invoice items: what waits for a customer's next invoice, prorations among it."""

from sandbox.stripe import errors
from sandbox.stripe.billing import drafting, extras, lines
from sandbox.stripe.billing.lines import Line
from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, merged_metadata

_URL = "/v1/invoiceitems"


@route("POST", _URL)
def create(call: Call) -> Row:
    world, params = call.world, call.params
    if not params.get("customer"):
        raise errors.invalid("Missing required param: customer.", "customer", "parameter_missing")
    customer = world.named("customer", params["customer"], "customer")
    world.live_with(customer)
    subscription = None
    if params.get("subscription"):
        subscription = world.named("subscription", params["subscription"], "subscription")
    apart = ("customer", "invoice", "subscription")
    sent = {key: value for key, value in params.items() if key not in apart}
    if "currency" not in sent and customer.body["currency"]:
        sent["currency"] = customer.body["currency"]
    row = extras.new_item(world, customer, sent, "pricing", subscription)
    if params.get("invoice"):
        invoice = _draft(world, params["invoice"])
        world.change(row, {"invoice": invoice.id})
        drafting.reprice(world, invoice, [*lines.of(invoice), lines.pending_line(row)])
    world.emit("invoiceitem.created", row)
    return row


def _draft(world: World, id: str) -> Row:
    invoice = world.named("invoice", id, "invoice")
    if invoice.body["status"] != "draft":
        raise errors.invalid(
            "This invoice is no longer editable: only a draft takes invoice items.",
            "invoice",
            "invoice_not_editable",
        )
    return invoice


@route("GET", _URL + "/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("invoiceitem", id, "invoiceitem")


@route("POST", _URL + "/{id}")
def update(call: Call, id: str) -> Row:
    world, params = call.world, call.params
    known = ("amount", "description", "discountable", "metadata", "period")
    errors.unsupported(params, tuple(name for name in params if name not in (*known, "expand")))
    row = world.get("invoiceitem", id, "invoiceitem")
    invoice = _draft(world, row.body["invoice"]) if row.body["invoice"] else None
    changes = call.pick("amount", "description", "discountable", "period")
    if "amount" in params:
        changes["net_amount"] = params["amount"]
    if "metadata" in params:
        changes["metadata"] = merged_metadata(row.body["metadata"], params["metadata"])
    world.change(row, changes)
    if invoice is not None:
        drafting.reprice(world, invoice, [*_others(invoice, id), lines.pending_line(row)])
    return row


@route("DELETE", _URL + "/{id}")
def delete(call: Call, id: str) -> Json:
    world = call.world
    row = world.get("invoiceitem", id, "invoiceitem")
    if row.body["invoice"]:
        invoice = _draft(world, row.body["invoice"])
        drafting.reprice(world, invoice, _others(invoice, id))
    world.emit("invoiceitem.deleted", row)
    return world.delete(row)


def _others(invoice: Row, id: str) -> list[Line]:
    return [line for line in lines.of(invoice) if _item_of(line.body["parent"] or {}) != id]


def _item_of(parent: Json) -> str | None:
    details = parent.get("invoice_item_details") or parent.get("subscription_item_details") or {}
    return details.get("invoice_item")


@route("GET", _URL)
def list_(call: Call) -> Json:
    errors.unsupported(call.params, ("customer_account",))
    where = []
    if "pending" in call.params:
        state = "IS NULL" if call.params["pending"] else "IS NOT NULL"
        where.append(f"json_extract(body, '$.invoice') {state}")
    return listed(call, "invoiceitem", _URL, ("customer", "invoice"), where)
