"""Balance transactions: what a charge or refund did to the balance, with Stripe's fee."""

from decimal import Decimal

from sandbox.stripe import money
from sandbox.stripe.listing import listed
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_FIXED_FEE = {"usd": 30, "eur": 25, "gbp": 20}
_WORDS = {"charge": "charge", "refund": "refund", "refund_failure": "refund_failure"}


def fee_for(amount: int, currency: str) -> int:
    """2.9 % and a fixed part, as a card in the United States costs."""
    fixed = _FIXED_FEE.get(currency, 0 if currency in money.ZERO_DECIMAL else 30)
    return min(amount, money.rounded(Decimal(amount) * Decimal("0.029")) + fixed)


def record(world: World, kind: str, amount: int, currency: str, source: str) -> Row:
    """Book an amount; only a charge costs a fee, and a refund does not give it back."""
    fee = fee_for(amount, currency) if kind == "charge" else 0
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    body: Json = {
        "amount": amount,
        "available_on": world.now + 2 * 86_400,
        "balance_type": "payments",
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": _WORDS[kind],
        "source": source,
        "status": "pending",
        "type": kind,
    }
    return world.add("balance_transaction", body)


@route("GET", "/v1/balance_transactions/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get("balance_transaction", id)


@route("GET", "/v1/balance_transactions")
def list_(call: Call) -> Json:
    equal = ("currency", "source", "type")
    return listed(call, "balance_transaction", "/v1/balance_transactions", equal)
