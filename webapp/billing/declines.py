"""What each of Stripe's decline codes asks for (https://docs.stripe.com/declines/codes)."""

from webapp.billing.models import DeclineKind

_NEEDS_CUSTOMER = frozenset(
    {
        *("expired_card", "incorrect_number", "invalid_number", "incorrect_cvc", "invalid_cvc"),
        *("incorrect_zip", "incorrect_address", "invalid_expiry_month", "invalid_expiry_year"),
        *("card_not_supported", "currency_not_supported", "invalid_account"),
        *("new_account_information_available", "testmode_decline", "incorrect_pin", "invalid_pin"),
        *("offline_pin_required", "online_or_offline_pin_required", "pin_try_exceeded"),
        *("service_not_allowed", "transaction_not_allowed", "no_action_taken"),
        *("not_permitted", "restricted_card", "security_violation", "missing"),
    }
)
_AUTHENTICATION = frozenset(
    {
        *("authentication_required", "authentication_not_handled", "mobile_device_authentication"),
        *("invoice_payment_intent_requires_action", "payment_intent_authentication_failure"),
        "subscription_payment_intent_requires_action",
    }
)
_NEVER = frozenset(
    {
        *("lost_card", "stolen_card", "pickup_card", "fraudulent", "merchant_blacklist"),
        *("revocation_of_all_authorizations", "revocation_of_authorization"),
        *("stop_payment_order", "highest_risk_level"),
    }
)


def kind_of(code: str | None) -> DeclineKind:
    """Return what a decline code asks for; one we don't know may well pass at another try.

    A customer without any card ("missing", ours) has to give one.
    """
    if code in _NEEDS_CUSTOMER:
        return DeclineKind.NEEDS_CUSTOMER
    if code in _AUTHENTICATION:
        return DeclineKind.AUTHENTICATION
    if code in _NEVER:
        return DeclineKind.NEVER
    return DeclineKind.TRY_AGAIN
