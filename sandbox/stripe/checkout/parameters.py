"""What Stripe refuses before it looks at a single line of a new session."""

from urllib.parse import urlsplit

from sandbox.stripe import errors
from sandbox.stripe.checkout.expiry import check_expiry
from sandbox.stripe.resources import customers
from sandbox.stripe.store import Json
from sandbox.stripe.world import World, check_metadata

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
    "setup_intent_data",
    "subscription_data",
    "tax_id_collection",
    "wallet_options",
)
_INTENT_UNSUPPORTED = ("application_fee_amount", "on_behalf_of", "transfer_data")


def check_parameters(world: World, params: Json) -> None:
    """Raise ApiError for the first parameter beside the lines that Stripe would refuse."""
    errors.unsupported(params, _UNSUPPORTED)
    errors.unsupported(params.get("payment_intent_data") or {}, _INTENT_UNSUPPORTED)
    _check_mode(params)
    _check_urls(params)
    _check_customer(world, params)
    _check_metadata(params)
    check_expiry(world, params)
    if params.get("allow_promotion_codes") and params.get("discounts"):
        raise only_one("allow_promotion_codes", "discounts")
    if len(params.get("discounts") or []) > 1:
        raise errors.invalid("You may only specify up to one discount.", "discounts")


def only_one(*names: str) -> errors.ApiError:
    """The refusal of parameters that exclude each other; the caller raises it."""
    return errors.invalid(
        f"You may only specify one of these parameters: {', '.join(names)}.", names[0]
    )


def _check_mode(params: Json) -> None:
    if "mode" not in params:
        raise errors.invalid("Missing required param: mode.", "mode", "parameter_missing")
    if params["mode"] != "payment":
        raise errors.invalid(f"The sandbox does not support `{params['mode']}` mode yet.", "mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise errors.invalid(f"The sandbox does not support ui_mode `{params['ui_mode']}`.")
    if not params.get("line_items"):
        raise errors.invalid(
            "Missing required param: line_items.", "line_items", "parameter_missing"
        )
    if len(params["line_items"]) > 100:
        raise errors.invalid("You may only specify up to 100 line items.", "line_items")


def _check_urls(params: Json) -> None:
    if "success_url" not in params:
        raise errors.invalid(
            "Missing required param: success_url.", "success_url", "parameter_missing"
        )
    for name in ("success_url", "cancel_url"):
        url = params.get(name)
        if url is None:
            continue
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.invalid("Not a valid URL", name, "url_invalid")


def _check_customer(world: World, params: Json) -> None:
    if params.get("customer"):
        if params.get("customer_email"):
            raise only_one("customer", "customer_email")
        if params.get("customer_creation"):
            raise only_one("customer", "customer_creation")
        world.named("customer", params["customer"], "customer")
    elif params.get("customer_update"):
        raise errors.invalid(
            "`customer_update` can only be used with `customer`.", "customer_update"
        )
    customers.check_email(params.get("customer_email"), "customer_email")


def _check_metadata(params: Json) -> None:
    check_metadata(params.get("metadata") or {})
    intent = params.get("payment_intent_data") or {}
    check_metadata(intent.get("metadata") or {}, "payment_intent_data[metadata]")
    reference = params.get("client_reference_id")
    if reference and len(reference) > 200:
        raise errors.invalid(
            f"Invalid string: {reference[:10]}...{reference[-10:]}; must be at most 200 characters",
            "client_reference_id",
        )
