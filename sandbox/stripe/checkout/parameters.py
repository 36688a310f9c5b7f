"""What Stripe refuses before it looks at a single line of a new session."""

from sandbox.stripe import errors
from sandbox.stripe.checkout.expiry import DAY
from sandbox.stripe.resources import customers
from sandbox.stripe.store import Json
from sandbox.stripe.world import World, check_metadata

_SHORTEST = 30 * 60
_UNSUPPORTED = (
    "adaptive_pricing",
    "consent_collection",
    "custom_fields",
    "customer_account",
    "invoice_creation",
    "managed_payments",
    "name_collection",
    "optional_items",
    "payment_method_configuration",
    "payment_method_data",
    "permissions",
    "saved_payment_method_options",
    "tax_id_collection",
    "wallet_options",
)
_INTENT_UNSUPPORTED = ("application_fee_amount", "on_behalf_of", "transfer_data")
_SUBSCRIPTION_UNSUPPORTED = (
    "application_fee_percent",
    "billing_cycle_anchor",
    "billing_cycle_anchor_config",
    "on_behalf_of",
    "pending_invoice_item_interval",
    "proration_behavior",
    "transfer_data",
)
#: Parameters that only some modes know.
_MODES: dict[str, tuple[str, ...]] = {
    "allow_promotion_codes": ("payment", "subscription"),
    "customer_creation": ("payment", "setup"),
    "discounts": ("payment", "subscription"),
    "line_items": ("payment", "subscription"),
    "payment_intent_data": ("payment",),
    "payment_method_collection": ("subscription",),
    "setup_intent_data": ("setup",),
    "shipping_options": ("payment",),
    "submit_type": ("payment", "subscription"),
    "subscription_data": ("subscription",),
}
_TRIAL_AT_LEAST = 48 * 3600
_TRIAL_AT_MOST = 730


def check_parameters(world: World, params: Json) -> None:
    """Raise ApiError for the first parameter beside the lines that Stripe would refuse."""
    errors.unsupported(params, _UNSUPPORTED)
    errors.unsupported(params.get("payment_intent_data") or {}, _INTENT_UNSUPPORTED)
    errors.unsupported(params.get("setup_intent_data") or {}, ("on_behalf_of",))
    _check_mode(params)
    _check_urls(params)
    _check_customer(world, params)
    _check_metadata(params)
    _check_subscription(world, params.get("subscription_data") or {})
    _check_expiry(world, params)
    if params.get("allow_promotion_codes") and params.get("discounts"):
        raise errors.only_one("allow_promotion_codes", "discounts")
    if len(params.get("discounts") or []) > 1:
        raise errors.invalid("You may only specify up to one discount.", "discounts")


def _check_mode(params: Json) -> None:
    if "mode" not in params:
        raise errors.invalid("Missing required param: mode.", "mode", "parameter_missing")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise errors.invalid(f"The sandbox does not support ui_mode `{params['ui_mode']}`.")
    mode = params["mode"]
    for name, modes in _MODES.items():
        if params.get(name) and mode not in modes:
            raise errors.invalid(f"You can not pass `{name}` in `{mode}` mode.", name)
    if mode == "setup":
        if not (params.get("currency") or params.get("allowed_payment_method_types")):
            raise errors.invalid(
                "Missing required param: currency.", "currency", "parameter_missing"
            )
    elif not params.get("line_items"):
        raise errors.invalid(
            "Missing required param: line_items.", "line_items", "parameter_missing"
        )
    elif len(params["line_items"]) > 100:
        raise errors.invalid("You may only specify up to 100 line items.", "line_items")


def _check_urls(params: Json) -> None:
    if "success_url" not in params:
        raise errors.invalid(
            "Missing required param: success_url.", "success_url", "parameter_missing"
        )
    for name in ("success_url", "cancel_url"):
        errors.check_url(params.get(name), name)


def _check_customer(world: World, params: Json) -> None:
    if params.get("customer"):
        if params.get("customer_email"):
            raise errors.only_one("customer", "customer_email")
        if params.get("customer_creation"):
            raise errors.only_one("customer", "customer_creation")
        world.named("customer", params["customer"], "customer")
    elif params.get("customer_update"):
        raise errors.invalid(
            "`customer_update` can only be used with `customer`.", "customer_update"
        )
    customers.check_email(params.get("customer_email"), "customer_email")


def _check_metadata(params: Json) -> None:
    check_metadata(params.get("metadata") or {})
    for name in ("payment_intent_data", "setup_intent_data", "subscription_data"):
        data = params.get(name) or {}
        check_metadata(data.get("metadata") or {}, f"{name}[metadata]")
    reference = params.get("client_reference_id")
    if reference and len(reference) > 200:
        raise errors.invalid(
            f"Invalid string: {reference[:10]}...{reference[-10:]}; must be at most 200 characters",
            "client_reference_id",
        )


def _check_subscription(world: World, data: Json) -> None:
    errors.unsupported(data, _SUBSCRIPTION_UNSUPPORTED)
    days, end = data.get("trial_period_days"), data.get("trial_end")
    if days is not None and end is not None:
        raise errors.only_one(
            "subscription_data[trial_end]", "subscription_data[trial_period_days]"
        )
    if days is not None and not 1 <= days <= _TRIAL_AT_MOST:
        raise errors.invalid(
            f"Invalid trial_period_days: must be between 1 and {_TRIAL_AT_MOST}.",
            "subscription_data[trial_period_days]",
        )
    if end is not None and end < world.now + _TRIAL_AT_LEAST - 2:
        raise errors.invalid(
            "The `trial_end` date has to be at least 2 days in the future.",
            "subscription_data[trial_end]",
        )
    for index, id in enumerate(data.get("default_tax_rates") or []):
        world.named("tax_rate", id, f"subscription_data[default_tax_rates][{index}]")


def _check_expiry(world: World, params: Json) -> None:
    """Raise ApiError unless `expires_at` is 30 minutes to 24 hours ahead, or absent."""
    wanted = params.get("expires_at")
    if wanted is None:
        return
    # A second of grace: the caller took its time before ours.
    if wanted < world.now + _SHORTEST - 2:
        raise errors.invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            "expires_at",
        )
    if wanted > world.now + DAY + 2:
        raise errors.invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            "expires_at",
        )
