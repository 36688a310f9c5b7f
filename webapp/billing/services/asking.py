"""Each kind of change as requests to Stripe, under the key it was written down with."""

from collections.abc import Callable
from typing import Any

from webapp.billing.models import OperationKind
from webapp.payments import gateway


def _change_plan(target: str, params: dict[str, Any], key: str) -> None:
    item = {"id": params["item"], "price": params["price"], "quantity": params["quantity"]}
    changes: dict[str, Any] = {
        "items": [item],
        "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete",
    }
    if params.get("proration_date"):
        changes["proration_date"] = params["proration_date"]
    gateway.change_subscription(target, changes, key)


def _cancel(target: str, params: dict[str, Any], key: str) -> None:
    gateway.cancel_subscription(target, _why(params), key)


def _cancel_at_period_end(target: str, params: dict[str, Any], key: str) -> None:
    gateway.change_subscription(target, {"cancel_at_period_end": True, **_why(params)}, key)


def _resume(target: str, _params: dict[str, Any], key: str) -> None:
    found = gateway.get_subscription(target)
    if found.cancel_at_period_end:
        gateway.change_subscription(target, {"cancel_at_period_end": False}, key)
    elif found.cancel_at is not None:
        # A day that Stripe's own pages set: the boolean doesn't take it back.
        gateway.change_subscription(target, {"cancel_at": ""}, key)


def _pause(target: str, params: dict[str, Any], key: str) -> None:
    pause: dict[str, Any] = {"behavior": params.get("behavior", "void")}
    if params.get("resumes_at"):
        pause["resumes_at"] = params["resumes_at"]
    gateway.change_subscription(target, {"pause_collection": pause}, key)


def _unpause(target: str, params: dict[str, Any], key: str) -> None:
    if gateway.get_subscription(target).pause_behavior is None:
        # Asked for long ago, or over by itself: a second time would be paid for again.
        return
    changes: dict[str, Any] = {"pause_collection": ""}
    if params.get("from_now"):
        # What ran during the pause was not paid for: a paid period begins now.
        changes |= {"billing_cycle_anchor": {"type": "now"}, "proration_behavior": "none"}
    gateway.change_subscription(target, changes, key)


def _discount(target: str, params: dict[str, Any], key: str) -> None:
    coupon = gateway.create_percent_coupon(
        params["percent"], params.get("months"), params["name"], f"{key}:coupon"
    )
    gateway.change_subscription(target, {"discounts": [{"coupon": coupon}]}, key)


def _set_default_card(target: str, params: dict[str, Any], key: str) -> None:
    """Set it on the customer and on each subscription: a subscription's own goes first at Stripe,
    and a dead one there would be charged again and again.
    """
    method = params["payment_method"]
    gateway.set_customer_card(target, method, f"{key}:customer")
    for subscription in gateway.list_subscriptions(target):
        if subscription.ended_at is None and subscription.status != "incomplete_expired":
            change = {"default_payment_method": method}
            gateway.change_subscription(subscription.id, change, f"{key}:{subscription.id}")


def _pay_invoice(target: str, params: dict[str, Any], key: str) -> None:
    gateway.pay_invoice(target, params.get("payment_method"), key)


def _void_invoice(target: str, _params: dict[str, Any], key: str) -> None:
    gateway.void_invoice(target, key)


def _write_off(target: str, _params: dict[str, Any], key: str) -> None:
    gateway.mark_uncollectible(target, key)


def _refund(_target: str, params: dict[str, Any], key: str) -> None:
    """Give back once, even long after Stripe forgot the key: the refund itself carries it."""
    intent = params["payment_intent"]
    if all(refund.key != key for refund in gateway.list_refunds(intent)):
        gateway.create_refund(intent, params["amount"], key)


def _why(params: dict[str, Any]) -> dict[str, Any]:
    details = {key: params[key] for key in ("feedback", "comment") if params.get(key)}
    return {"cancellation_details": details} if details else {}


REQUESTS: dict[OperationKind, Callable[[str, dict[str, Any], str], None]] = {
    OperationKind.CHANGE_PLAN: _change_plan,
    OperationKind.CANCEL: _cancel,
    OperationKind.CANCEL_AT_PERIOD_END: _cancel_at_period_end,
    OperationKind.RESUME: _resume,
    OperationKind.PAUSE: _pause,
    OperationKind.UNPAUSE: _unpause,
    OperationKind.DISCOUNT: _discount,
    OperationKind.SET_DEFAULT_CARD: _set_default_card,
    OperationKind.PAY_INVOICE: _pay_invoice,
    OperationKind.VOID_INVOICE: _void_invoice,
    OperationKind.WRITE_OFF: _write_off,
    OperationKind.REFUND: _refund,
}
OF_INVOICES = frozenset(
    {
        OperationKind.PAY_INVOICE,
        OperationKind.VOID_INVOICE,
        OperationKind.WRITE_OFF,
        OperationKind.REFUND,
    }
)
OF_SUBSCRIPTIONS = frozenset(REQUESTS) - OF_INVOICES - {OperationKind.SET_DEFAULT_CARD}
