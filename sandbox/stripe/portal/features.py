"""What a portal's configuration lets a customer do, with every key that Stripe shows."""

import copy

from sandbox.stripe import errors
from sandbox.stripe.store import Json
from sandbox.stripe.world import World

REASONS = {
    "too_expensive": "It's too expensive",
    "missing_features": "I need more features",
    "switched_service": "I found an alternative",
    "unused": "I no longer need it",
    "customer_service": "Customer service was less than expected",
    "too_complex": "Ease of use was less than expected",
    "low_quality": "Quality was less than expected",
    "other": "Other reason",
}
_DEFAULT_REASONS = [
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "other",
]

#: Everything off, with the values that an unmentioned setting has.
NOTHING: Json = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {
            "enabled": False,
            "feedback_options": None,
            "options": _DEFAULT_REASONS,
        },
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {
        "duration": {"interval_options": [], "type": "indefinite"},
        "enabled": False,
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}

#: What the default configuration allows, as if every switch of the dashboard were on.
GENEROUS: Json = {
    "customer_update": {"allowed_updates": ["address", "email", "name", "phone"], "enabled": True},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"cancellation_reason": {"enabled": True}, "enabled": True},
    "subscription_update": {
        "default_allowed_updates": ["price"],
        "enabled": True,
        "proration_behavior": "create_prorations",
        "trial_update_behavior": "continue_trial",
    },
}


def merged(current: Json, sent: Json) -> Json:
    """The features after an update; hashes are merged, lists and values replaced."""
    whole = copy.deepcopy(current)
    for name, value in sent.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict):
            whole[name] = merged(whole[name], value)
        elif name == "products":
            whole[name] = [_product(entry) for entry in value or []]
        else:
            whole[name] = [] if value is None and isinstance(whole.get(name), list) else value
    return whole


def _product(sent: Json) -> Json:
    adjustable = {"enabled": False, "maximum": None, "minimum": 1}
    return {
        **sent,
        "adjustable_quantity": {**adjustable, **(sent.get("adjustable_quantity") or {})},
    }


def check(world: World, sent: Json) -> None:
    """Raise ApiError for what Stripe would refuse in a configuration's features."""
    errors.unsupported(sent.get("subscription_pause") or {}, ("enabled",))
    update = sent.get("subscription_update") or {}
    schedule = (update.get("schedule_at_period_end") or {}).get("conditions")
    if schedule:
        raise errors.invalid(
            "The sandbox does not support `schedule_at_period_end` yet.",
            "features[subscription_update][schedule_at_period_end]",
        )
    path = "features[subscription_update]"
    if update.get("enabled") and not update.get("products"):
        raise errors.invalid(
            f"Missing required param: {path}[products].",
            f"{path}[products]",
            "parameter_missing",
        )
    for index, entry in enumerate(update.get("products") or []):
        here = f"{path}[products][{index}]"
        world.named("product", entry["product"], f"{here}[product]")
        for number, id in enumerate(entry["prices"]):
            price = world.named("price", id, f"{here}[prices][{number}]")
            if price.body["product"] != entry["product"] or not price.body["recurring"]:
                raise errors.invalid(
                    f"The price {id} is no recurring price of {entry['product']}.",
                    f"{here}[prices][{number}]",
                )
    customer = sent.get("customer_update") or {}
    if customer.get("enabled") and not customer.get("allowed_updates"):
        raise errors.invalid(
            "Missing required param: features[customer_update][allowed_updates].",
            "features[customer_update][allowed_updates]",
            "parameter_missing",
        )
