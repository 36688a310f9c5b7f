"""The Checkout Session object as a new session shows it."""

from sandbox.stripe import errors
from sandbox.stripe.checkout.expiry import DAY
from sandbox.stripe.resources import payment_methods
from sandbox.stripe.store import Json
from sandbox.stripe.world import World


def new_body(world: World, params: Json, currency: str | None, options: list[Json]) -> Json:
    """An open session nobody has paid, its amounts still zero; raises ApiError."""
    collection = params.get("shipping_address_collection")
    mode = params["mode"]
    return {
        "adaptive_pricing": {"enabled": False},
        "after_expiration": _recovery(params),
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "amount_subtotal": None if mode == "setup" else 0,
        "amount_total": None if mode == "setup" else 0,
        "automatic_tax": _automatic_tax(params),
        "billing_address_collection": params.get("billing_address_collection"),
        "branding_settings": _branding(params),
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": _custom_text(params),
        "customer": params.get("customer"),
        "customer_account": None,
        "customer_creation": _customer_creation(params),
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "expires_at": params.get("expires_at") or world.now + DAY,
        "integration_identifier": params.get("integration_identifier"),
        "invoice": None,
        "invoice_creation": _invoice_creation() if mode == "payment" else None,
        "locale": params.get("locale"),
        "metadata": params.get("metadata") or {},
        "mode": mode,
        "origin_context": params.get("origin_context"),
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": params.get(
            "payment_method_collection", "if_required" if mode == "payment" else "always"
        ),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": _types(params, currency),
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "permissions": None,
        "phone_number_collection": {
            "enabled": bool((params.get("phone_number_collection") or {}).get("enabled"))
        },
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": collection
        and {"allowed_countries": collection["allowed_countries"]},
        "shipping_cost": None,
        "shipping_options": options,
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params["success_url"],
        "total_details": None,
        "ui_mode": "hosted_page",
        "url": None,
        "wallet_options": None,
    }


def _recovery(params: Json) -> Json | None:
    sent = (params.get("after_expiration") or {}).get("recovery")
    if not sent:
        return None
    recovery = {
        "allow_promotion_codes": sent.get("allow_promotion_codes", False),
        "enabled": sent["enabled"],
        "expires_at": None,
        "url": None,
    }
    return {"recovery": recovery}


def _customer_creation(params: Json) -> str | None:
    if params.get("customer"):
        return None
    default = "always" if params["mode"] == "subscription" else "if_required"
    return str(params.get("customer_creation", default))


def _types(params: Json, currency: str | None) -> list[str]:
    # A debit is taken once here; what is charged again and again are cards.
    debit = payment_methods.BANK_DEBITS.get(currency or "") if params["mode"] == "payment" else None
    types = ["card", *([debit] if debit else [])]
    allowed = params.get("allowed_payment_method_types")
    if allowed:
        types = [type for type in types if type in allowed]
    types = [t for t in types if t not in (params.get("excluded_payment_method_types") or [])]
    if not types:
        raise errors.invalid(
            "No payment method types remain for this Checkout Session: the sandbox offers cards "
            "and the bank debit of the session's currency.",
            "allowed_payment_method_types",
        )
    return types


def _branding(params: Json) -> Json:
    sent = params.get("branding_settings") or {}
    return {
        "background_color": sent.get("background_color") or "#ffffff",
        "border_style": sent.get("border_style") or "rounded",
        "button_color": sent.get("button_color") or "#0074d4",
        "display_name": sent.get("display_name") or "Sandbox shop",
        "font_family": sent.get("font_family") or "default",
        "icon": sent.get("icon"),
        "logo": sent.get("logo"),
    }


def _custom_text(params: Json) -> Json:
    sent = params.get("custom_text") or {}
    names = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
    return {name: sent.get(name) for name in names}


def _automatic_tax(params: Json) -> Json:
    if not (params.get("automatic_tax") or {}).get("enabled"):
        return {"enabled": False, "liability": None, "provider": None, "status": None}
    return {
        "enabled": True,
        "liability": {"type": "self"},
        "provider": "stripe",
        "status": "requires_location_inputs",
    }


def _invoice_creation() -> Json:
    data: Json = {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": None,
        "metadata": {},
        "rendering_options": None,
    }
    return {"enabled": False, "invoice_data": data}
