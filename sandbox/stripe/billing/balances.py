"""The customer's balance: credit (negative) or debt (positive) that the next invoice settles."""

from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def move(
    world: World,
    customer: Row,
    amount: int,
    currency: str,
    type: str,
    invoice: str | None = None,
    **more: object,
) -> Row:
    """Add to the balance, with an entry that says why."""
    ending = customer.body["balance"] + amount
    world.change(customer, {"balance": ending, "currency": customer.body["currency"] or currency})
    body: Json = {
        "amount": amount,
        "checkout_session": None,
        "credit_note": None,
        "currency": currency,
        "customer": customer.id,
        "customer_account": None,
        "description": None,
        "ending_balance": ending,
        "invoice": invoice,
        "metadata": {},
        "type": type,
        **more,
    }
    return world.add("customer_balance_transaction", body)
