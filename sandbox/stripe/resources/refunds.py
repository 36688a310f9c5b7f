"""Refunds: money back in full or in part, at once, later, or not at all after all."""

from sandbox.stripe import errors, money
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import balance_transactions
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.timers import timer
from sandbox.stripe.world import World, check_metadata, merged_metadata

_UNSUPPORTED = ("customer", "currency", "origin", "refund_application_fee", "reverse_transfer")


@route("POST", "/v1/refunds")
def create(call: Call) -> Row:
    world, params = call.world, call.params
    errors.unsupported(params, _UNSUPPORTED)
    check_metadata(params.get("metadata") or {})
    charge = _charge_to_refund(world, params)
    amount = _refundable(charge, params)
    refund = _new_refund(world, charge, amount, params)
    _count(world, charge, amount)
    world.emit("charge.refunded", charge, _previous(charge, amount))
    world.emit("refund.created", refund)
    if refund.body["status"] == "succeeded":
        _give_reference(world, refund)
    habit = charge.private["refund"]
    if habit != "succeeded" and world.machine.async_after is not None:
        what = "refund_failed" if habit == "failed" else "refund_succeeded"
        world.set_timer(refund.id, what, world.now + world.machine.async_after)
    return refund


def _charge_to_refund(world: World, params: Json) -> Row:
    if params.get("charge"):
        charge = world.named("charge", params["charge"], "charge")
        if params.get("payment_intent") not in (None, charge.body["payment_intent"]):
            raise errors.invalid(
                "The charge you provided does not belong to the payment_intent.", "charge"
            )
        if charge.body["status"] != "succeeded":
            raise errors.invalid(f"Charge {charge.id} has not succeeded.", "charge")
        return charge
    if not params.get("payment_intent"):
        raise errors.invalid(
            "One of the following params should be provided for this request: payment_intent or "
            "charge."
        )
    intent = world.named("payment_intent", params["payment_intent"], "payment_intent")
    charge_row = world.find("charge", intent.body["latest_charge"])
    if charge_row is None or charge_row.body["status"] != "succeeded":
        raise errors.invalid(
            f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.",
            "payment_intent",
        )
    return charge_row


def _refundable(charge: Row, params: Json) -> int:
    """How much to give back, or Stripe's refusal."""
    body = charge.body
    left = body["amount_captured"] - body["amount_refunded"]
    if body["captured"] and left == 0:
        raise errors.invalid(
            f"Charge {charge.id} has already been refunded.", code="charge_already_refunded"
        )
    amount = int(params.get("amount", left))
    if amount < 1:
        raise errors.invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
    if amount > left:
        asked = money.written(amount, body["currency"])
        have = money.written(left, body["currency"])
        what = "unrefunded amount on charge" if body["amount_refunded"] else "charge amount"
        raise errors.invalid(f"Refund amount ({asked}) is greater than {what} ({have})", "amount")
    return amount


def _new_refund(world: World, charge: Row, amount: int, params: Json) -> Row:
    currency, type = charge.body["currency"], charge.body["payment_method_details"]["type"]
    pending = charge.private["refund"] == "pending"
    destination: Json = {"type": type}
    if type == "card":
        destination["card"] = {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        }
    body: Json = {
        "amount": amount,
        "balance_transaction": None,
        "charge": charge.id,
        "currency": currency,
        "destination_details": destination,
        "metadata": params.get("metadata") or {},
        "payment_intent": charge.body["payment_intent"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if pending else "succeeded",
        "transfer_reversal": None,
    }
    if pending:
        body["pending_reason"] = "processing"
    refund = world.add("refund", body)
    entry = balance_transactions.record(world, "refund", -amount, currency, refund.id)
    world.change(refund, {"balance_transaction": entry.id})
    return refund


def _count(world: World, charge: Row, amount: int) -> None:
    refunded = charge.body["amount_refunded"] + amount
    whole = refunded == charge.body["amount_captured"]
    world.change(charge, {"amount_refunded": refunded, "refunded": whole})


def _previous(charge: Row, amount: int) -> Json:
    previous: Json = {"amount_refunded": charge.body["amount_refunded"] - amount}
    if charge.body["refunded"]:
        previous["refunded"] = False
    return previous


def _announce(world: World, refund: Row, previous: Json) -> None:
    world.emit("refund.updated", refund, previous)
    world.emit("charge.refund.updated", refund, previous)


def _give_reference(world: World, refund: Row) -> None:
    """The bank names the refund, which buyers ask for when they cannot find the money."""
    if "card" not in refund.body["destination_details"]:
        return
    card = {
        **refund.body["destination_details"]["card"],
        "reference": "4242424242424242",
        "reference_status": "available",
    }
    details = {**refund.body["destination_details"], "card": card}
    _announce(world, refund, world.change(refund, {"destination_details": details}))


def finish(world: World, refund: Row, succeeded: bool) -> None:
    """The bank's late answer: the money arrived, or it came back to the shop."""
    if refund.body["status"] not in ("pending", "succeeded"):
        raise errors.invalid(f"Refund {refund.id} is already {refund.body['status']}.")
    world.drop_timers(refund.id)
    if succeeded:
        refund.body.pop("pending_reason", None)
        _announce(world, refund, world.change(refund, {"status": "succeeded"}))
        return
    amount, currency = refund.body["amount"], refund.body["currency"]
    entry = balance_transactions.record(world, "refund_failure", amount, currency, refund.id)
    refund.body.pop("pending_reason", None)
    previous = world.change(
        refund,
        {
            "status": "failed",
            "failure_reason": "expired_or_canceled_card",
            "failure_balance_transaction": entry.id,
        },
    )
    charge = world.get("charge", refund.body["charge"])
    _count(world, charge, -amount)
    world.emit("refund.failed", refund, previous)
    _announce(world, refund, previous)


@timer("refund_succeeded")
def _arrive(world: World, id: str) -> None:
    refund = world.find("refund", id)
    if refund and refund.body["status"] in ("pending", "succeeded"):
        finish(world, refund, succeeded=True)


@timer("refund_failed")
def _come_back(world: World, id: str) -> None:
    refund = world.find("refund", id)
    if refund and refund.body["status"] in ("pending", "succeeded"):
        finish(world, refund, succeeded=False)


@route("GET", "/v1/refunds/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("refund", id, "refund")


@route("POST", "/v1/refunds/{id}")
def update(call: Call, id: str) -> Row:
    refund = call.world.get("refund", id, "refund")
    if "metadata" in call.params:
        merged = merged_metadata(refund.body["metadata"], call.params["metadata"])
        _announce(call.world, refund, call.world.change(refund, {"metadata": merged}))
    return refund


@route("POST", "/v1/refunds/{id}/cancel")
def cancel(call: Call, id: str) -> Row:
    refund = call.world.get("refund", id, "refund")
    raise errors.invalid(
        f"Refund {refund.id} cannot be canceled: only a refund with a status of requires_action "
        f"can, and this one has a status of {refund.body['status']}."
    )


@route("GET", "/v1/refunds")
def list_(call: Call) -> Json:
    return listed(call, "refund", "/v1/refunds", ("charge", "payment_intent"))
