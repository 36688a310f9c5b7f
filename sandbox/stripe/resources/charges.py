"""Charges: each attempt to take money, whether it succeeded, failed or is on its way."""

from sandbox.stripe import cards
from sandbox.stripe.expand import includable
from sandbox.stripe.listing import listed
from sandbox.stripe.resources import balance_transactions
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, merged_metadata

_APPROVED: Json = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 20,
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def new_charge(world: World, intent: Row, method: Row) -> Row:
    """A charge of the whole intent, approved; the caller changes what did not go that way."""
    pays = intent.body
    card = method.body["type"] == "card"
    body: Json = {
        "amount": pays["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method.body["billing_details"],
        "calculated_statement_descriptor": "SANDBOX" if card else None,
        "captured": False,
        "currency": pays["currency"],
        "customer": pays["customer"],
        "description": pays["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "metadata": pays["metadata"],
        "on_behalf_of": None,
        "outcome": dict(_APPROVED),
        "paid": False,
        "payment_intent": intent.id,
        "payment_method": method.id,
        "payment_method_details": _details(method, pays["amount"]),
        "radar_options": {},
        "receipt_email": pays["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": pays["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": pays["statement_descriptor"],
        "statement_descriptor_suffix": pays["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": None,
        "transfer_group": pays["transfer_group"],
    }
    return world.add("charge", body, {"refund": _refund_habit(method)})


def _refund_habit(method: Row) -> str:
    if method.body["type"] != "card":
        return "pending"
    return cards.test_card(method.private["number"]).refund


def _details(method: Row, amount: int) -> Json:
    type = method.body["type"]
    details = dict(method.body[type])
    if type == "card":
        for name in ("display_brand", "generated_from", "networks", "three_d_secure_usage"):
            details.pop(name)
        details |= {
            "amount_authorized": amount,
            "authorization_code": "123456",
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": details["brand"],
            "network_token": {"used": False},
            "network_transaction_id": "104557651805572",
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "three_d_secure": None,
        }
    else:
        for name in (
            "generated_from",
            "financial_connections_account",
            "networks",
            "status_details",
        ):
            details.pop(name, None)
        details |= {"expected_debit_date": None, "mandate": None}
    return {type: details, "type": type}


def authenticated(charge: Row) -> None:
    """Note on a card's charge that its holder was asked; the caller saves."""
    charge.body["payment_method_details"]["card"]["three_d_secure"] = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": "5a3d4d2c-8f0e-4a11-9c3e-6f1d2b7f9e10",
        "version": "2.2.0",
    }


def refuse(world: World, charge: Row, decline: cards.Decline, blocked: bool = False) -> None:
    outcome = {
        **_APPROVED,
        "network_status": "not_sent_to_network" if blocked else "declined_by_network",
        "reason": "highest_risk_level" if blocked else decline.decline_code,
        "seller_message": "Stripe blocked this payment as too risky."
        if blocked
        else "The bank did not return any further details with this decline.",
        "type": "blocked" if blocked else "issuer_declined",
    }
    changes = {
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": outcome,
        "status": "failed",
    }
    world.change(charge, changes)
    world.emit("charge.failed", charge)


def succeed(world: World, charge: Row, captured: bool) -> None:
    """The money is taken, or held when the intent is captured by hand."""
    amount = charge.body["amount"]
    changes = {
        "amount_captured": amount if captured else 0,
        "captured": captured,
        "paid": True,
        "status": "succeeded",
        "receipt_url": f"{world.base_url}/c/receipt/{charge.id}",
    }
    world.change(charge, changes)
    world.emit("charge.succeeded", charge)


def book(world: World, charge: Row) -> None:
    """Put a captured charge on the balance, which Stripe does a moment after it succeeded."""
    amount, currency = charge.body["amount_captured"], charge.body["currency"]
    entry = balance_transactions.record(world, "charge", amount, currency, charge.id)
    previous = world.change(charge, {"balance_transaction": entry.id})
    world.emit("charge.updated", charge, previous)


@route("GET", "/v1/charges/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("charge", id)


@route("POST", "/v1/charges/{id}")
def update(call: Call, id: str) -> Row:
    charge = call.world.get("charge", id, "charge")
    changes = call.pick("description", "receipt_email", "shipping", "transfer_group")
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(charge.body["metadata"], call.params["metadata"])
    previous = call.world.change(charge, changes)
    call.world.emit("charge.updated", charge, previous)
    return charge


@route("GET", "/v1/charges")
def list_(call: Call) -> Json:
    equal = ("customer", "payment_intent", "transfer_group")
    return listed(call, "charge", "/v1/charges", equal)


@includable("charge", "refunds")
def _refunds(world: World, charge: Json) -> Json:
    rows = world.rows("refund", ["json_extract(body, '$.charge') = ?"], [charge["id"]])
    url = f"/v1/charges/{charge['id']}/refunds"
    data = [row.body for row in rows[:10]]
    return {"object": "list", "data": data, "has_more": len(rows) > 10, "url": url}
