"""The many fields of a subscription, from the parameters that start it."""

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.billing import items
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata

UNSUPPORTED = (
    "application_fee_percent",
    "billing_thresholds",
    "default_source",
    "on_behalf_of",
    "pending_invoice_item_interval",
    "transfer_data",
    "trial_from_plan",
)
_NEW_UNSUPPORTED = ("backdate_start_date", "billing_schedules", "customer_account")


def check(params: Json) -> None:
    errors.unsupported(params, (*UNSUPPORTED, *_NEW_UNSUPPORTED))
    check_automatic_tax(params)
    check_metadata(params.get("metadata") or {})


def check_automatic_tax(params: Json) -> None:
    if (params.get("automatic_tax") or {}).get("enabled"):
        raise errors.invalid(
            "The sandbox does not support `automatic_tax` for subscriptions yet.", "automatic_tax"
        )


def check_method(world: World, customer: Row, id: str) -> str:
    """The id of a payment method that is the customer's own; raises ApiError."""
    method = world.find("payment_method", id)
    if method is None:
        raise errors.invalid(
            f"No such PaymentMethod: '{id}'", "default_payment_method", "resource_missing"
        )
    if method.body["customer"] != customer.id:
        raise errors.invalid(
            f"The customer does not have a payment method with the ID {id}. The payment method "
            "must be attached to the customer.",
            "default_payment_method",
            "resource_missing",
        )
    return method.id


def trial_settings(sent: Json | None) -> Json:
    behavior = (sent or {}).get("end_behavior") or {}
    return {
        "end_behavior": {
            "billing_cycle_anchor": behavior.get("billing_cycle_anchor"),
            "missing_payment_method": behavior.get("missing_payment_method", "create_invoice"),
        }
    }


def payment_settings(sent: Json | None) -> Json:
    sent = sent or {}
    return {
        "payment_method_options": None,
        "payment_method_types": sent.get("payment_method_types"),
        "save_default_payment_method": sent.get("save_default_payment_method", "off"),
    }


def invoice_settings(sent: Json | None) -> Json:
    sent = sent or {}
    return {
        "account_tax_ids": None,
        "custom_fields": sent.get("custom_fields"),
        "description": sent.get("description"),
        "footer": sent.get("footer"),
        "issuer": {"type": "self"},
    }


def new_body(world: World, customer: Row, params: Json) -> Json:
    """A subscription without items, periods and trial; the caller adds them."""
    now = world.now
    method = params.get("default_payment_method")
    sent_items: list[Any] = []
    return {
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": params.get("billing_cycle_anchor_config"),
        "billing_mode": billing_mode(params.get("billing_mode")),
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "feedback_option": None,
            "reason": None,
        },
        "collection_method": params.get("collection_method", "charge_automatically"),
        "currency": "",
        "customer": customer.id,
        "customer_account": None,
        "days_until_due": params.get("days_until_due"),
        "default_payment_method": check_method(world, customer, method) if method else None,
        "default_source": None,
        "default_tax_rates": items.rates(
            world, params.get("default_tax_rates"), "default_tax_rates"
        ),
        "description": params.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": invoice_settings(params.get("invoice_settings")),
        "items": items.as_list(sent_items, ""),
        "latest_invoice": None,
        "managed_payments": None,
        "metadata": params.get("metadata") or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": payment_settings(params.get("payment_settings")),
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "incomplete",
        "status_details": None,
        "test_clock": customer.body["test_clock"],
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": trial_settings(params.get("trial_settings")),
        "trial_start": None,
    }


def billing_mode(sent: Json | None) -> Json:
    if sent and sent["type"] == "classic":
        return {"flexible": None, "type": "classic"}
    flexible = (sent or {}).get("flexible") or {}
    return {
        "flexible": {"proration_discounts": flexible.get("proration_discounts", "included")},
        "type": "flexible",
    }
