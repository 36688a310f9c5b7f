"""What banks say when they refuse a card, in words somebody who answers customers can use."""

from webapp.billing.models import DeclineKind

# https://docs.stripe.com/declines/codes
WORDS = {
    "insufficient_funds": "Not enough money on the account",
    "card_declined": "The bank refused and gave no reason",
    "generic_decline": "The bank refused and gave no reason",
    "do_not_honor": "The bank refused and gave no reason",
    "call_issuer": "The customer has to call their bank",
    "expired_card": "The card has expired",
    "incorrect_cvc": "The card's security code is wrong",
    "invalid_cvc": "The card's security code is wrong",
    "incorrect_number": "The card's number is wrong",
    "invalid_number": "The card's number is wrong",
    "invalid_account": "The card or its account is closed",
    "processing_error": "The bank could not be reached properly",
    "issuer_not_available": "The bank could not be reached",
    "try_again_later": "The bank asks to try again later",
    "reenter_transaction": "The bank asks to try again",
    "lost_card": "The card was reported lost",
    "stolen_card": "The card was reported stolen",
    "pickup_card": "The card may not be used any more",
    "fraudulent": "Stripe takes the payment for fraud",
    "highest_risk_level": "Stripe takes the payment for fraud",
    "authentication_required": "The bank wants the customer to approve it",
    "stop_payment_order": "The customer told their bank to stop these payments",
    "revocation_of_authorization": "The customer told their bank to stop these payments",
    "revocation_of_all_authorizations": "The customer told their bank to stop all payments",
    "card_velocity_exceeded": "The card is over its limit",
    "withdrawal_count_limit_exceeded": "The card is over its limit",
    "currency_not_supported": "The card does not take this currency",
    "card_not_supported": "The card can't be used for such a payment",
    "restricted_card": "The card can't be used for such a payment",
    "service_not_allowed": "The card can't be used for such a payment",
    "transaction_not_allowed": "The card can't be used for such a payment",
    "missing": "There is no card to charge",
}

KINDS = {
    DeclineKind.TRY_AGAIN: "may pass at another try",
    DeclineKind.NEEDS_CUSTOMER: "needs another card",
    DeclineKind.AUTHENTICATION: "needs the customer's approval",
    DeclineKind.NEVER: "will not pass with this card",
}

KIND_TITLES = {
    DeclineKind.TRY_AGAIN: "Try again",
    DeclineKind.NEEDS_CUSTOMER: "Needs the customer",
    DeclineKind.AUTHENTICATION: "Authentication",
    DeclineKind.NEVER: "Never",
}


def words_for(code: str | None, kind: DeclineKind | None) -> str:
    """Return ``Not enough money on the account: may pass at another try.``"""
    said = WORDS.get(code or "", (code or "Refused").replace("_", " ").capitalize())
    return f"{said}: {KINDS[kind]}." if kind is not None else f"{said}."
