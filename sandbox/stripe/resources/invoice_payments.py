"""Invoice payments: which intent is to pay, or has paid, which invoice."""

from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def of_invoice(world: World, id: str) -> list[Row]:
    """An invoice's payments, newest first."""
    invoice = world.find("invoice", id)
    payment = invoice and world.find("invoice_payment", invoice.private.get("payment"))
    return [payment] if payment else []


@route("GET", "/v1/invoice_payments/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("invoice_payment", id, "invoice_payment")


@route("GET", "/v1/invoice_payments")
def list_(call: Call) -> Json:
    where, values = [], []
    payment = call.params.get("payment") or {}
    if payment.get("payment_intent"):
        where.append("json_extract(body, '$.payment.payment_intent') = ?")
        values.append(payment["payment_intent"])
    equal = ("invoice", "status")
    return listed(call, "invoice_payment", "/v1/invoice_payments", equal, where, values)
