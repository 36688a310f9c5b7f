"""Stripe's documented test cards and what each of them does (https://docs.stripe.com/testing)."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a card was refused, in the words its holder reads."""

    code: str
    message: str
    decline_code: str | None = None
    param: str | None = None
    type: str = "card_error"

    def told(self, method: dict[str, Any]) -> dict[str, Any]:
        """The error that an intent shows after this refusal of a payment method."""
        error = {
            "code": self.code,
            "doc_url": f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}",
            "message": self.message,
            "payment_method": method,
            "type": self.type,
        }
        if self.decline_code:
            error["decline_code"] = self.decline_code
        if self.param:
            error["param"] = self.param
        return error


@dataclass(frozen=True, slots=True)
class TestCard:
    brand: str
    funding: str = "credit"
    country: str = "US"
    decline: Decline | None = None
    #: Whether the bank asks the holder before it decides.
    authenticate: bool = False
    #: Whether it asks no more off session once the card was set up for that with the holder there.
    remembers: bool = False
    #: What becomes of a refund: at once, "pending" first, or "failed" later.
    refund: str = "succeeded"
    blocked: bool = False


def _refused(decline_code: str, message: str = "Your card was declined.") -> Decline:
    return Decline("card_declined", message, decline_code)


GENERIC = _refused("generic_decline")
INSUFFICIENT = _refused("insufficient_funds", "Your card has insufficient funds.")
EXPIRED = Decline("expired_card", "Your card has expired.", "expired_card", "exp_month")
INCORRECT_CVC = Decline(
    "incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc", "cvc"
)
PROCESSING = Decline(
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
    "processing_error",
)
FRAUDULENT = _refused("fraudulent")
LIVE_CARD = _refused(
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card. For a list "
    "of valid test cards, visit: https://stripe.com/docs/testing.",
)
UNAUTHENTICATED = Decline(
    "payment_intent_authentication_failure",
    "We are unable to authenticate your payment method. Please choose a different payment method "
    "and try again.",
    type="invalid_request_error",
)
#: Off session there is nobody to ask: the payment waits for the holder.
ASKED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
DEBIT_FAILED = Decline(
    "payment_intent_payment_attempt_failed",
    "The bank returned the debit: the account has insufficient funds.",
    "insufficient_funds",
    type="invalid_request_error",
)

CARDS: dict[str, TestCard] = {
    "4242424242424242": TestCard("visa"),
    "4000056655665556": TestCard("visa", "debit"),
    "5555555555554444": TestCard("mastercard"),
    "2223003122003222": TestCard("mastercard"),
    "5200828282828210": TestCard("mastercard", "debit"),
    "5105105105105100": TestCard("mastercard", "prepaid"),
    "378282246310005": TestCard("amex"),
    "371449635398431": TestCard("amex"),
    "6011111111111117": TestCard("discover"),
    "3056930009020004": TestCard("diners"),
    "36227206271667": TestCard("diners"),
    "3566002020360505": TestCard("jcb", country="JP"),
    "6200000000000005": TestCard("unionpay", country="CN"),
    "4000002760000016": TestCard("visa", country="DE"),
    "4000002500000003": TestCard("visa", country="FR"),
    "4000008260000000": TestCard("visa", country="GB"),
    "4000000000000002": TestCard("visa", decline=GENERIC),
    "4000000000009995": TestCard("visa", decline=INSUFFICIENT),
    "4000000000009987": TestCard("visa", decline=_refused("lost_card")),
    "4000000000009979": TestCard("visa", decline=_refused("stolen_card")),
    "4000000000006975": TestCard("visa", decline=_refused("card_velocity_exceeded")),
    "4000000000000069": TestCard("visa", decline=EXPIRED),
    "4000000000000127": TestCard("visa", decline=INCORRECT_CVC),
    "4000000000000119": TestCard("visa", decline=PROCESSING),
    "4100000000000019": TestCard("visa", decline=FRAUDULENT, blocked=True),
    "4000000000000341": TestCard("visa", decline=GENERIC),
    "4000002500003155": TestCard("visa", country="FR", authenticate=True, remembers=True),
    "4000003800000446": TestCard("visa", country="FR", authenticate=True, remembers=True),
    "4000002760003184": TestCard("visa", country="DE", authenticate=True),
    "4000000000003220": TestCard("visa", authenticate=True),
    "4000000000003063": TestCard("visa", authenticate=True),
    "4000008260003178": TestCard("visa", country="GB", authenticate=True, decline=INSUFFICIENT),
    "4000008400001629": TestCard("visa", authenticate=True, decline=GENERIC),
    "4000000000007726": TestCard("visa", refund="pending"),
    "4000000000005126": TestCard("visa", refund="failed"),
}

#: The ids that stand for a card without naming its number.
BY_NAME: dict[str, str] = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard_debit": "5200828282828210",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "3056930009020004",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "chargeDeclined": "4000000000000002",
    "visa_chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "chargeCustomerFail": "4000000000000341",
    "authenticationRequired": "4000002500003155",
    "threeDSecure2Required": "4000000000003220",
    "pendingRefund": "4000000000007726",
    "refundFail": "4000000000005126",
}

#: Cards that are as good as set up already.
ALREADY_SET_UP = frozenset({"4000003800000446"})

_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "call_issuer": "Your card was declined. You can call your bank for details.",
}
_OWN_CODES = {decline.code: decline for decline in (EXPIRED, INCORRECT_CVC, PROCESSING, ASKED)}


def declined(decline_code: str) -> Decline:
    """The refusal that goes with a bank's decline code."""
    message = _MESSAGES.get(decline_code, "Your card was declined.")
    return _OWN_CODES.get(decline_code) or _refused(decline_code, message)


#: IBANs and account numbers whose debit fails; every other one succeeds.
FAILING_ACCOUNTS = frozenset({"AT861904300235473202", "DE62370400440532013001", "000111111116"})


def digits(number: str) -> str:
    return "".join(character for character in number if character.isdigit())


def passes_luhn(number: str) -> bool:
    total = 0
    for index, character in enumerate(reversed(number)):
        value = int(character) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return bool(number) and total % 10 == 0


def test_card(number: str) -> TestCard:
    """What a well-formed number stands for; any other real card is refused in test mode."""
    return CARDS.get(number) or TestCard("unknown", decline=LIVE_CARD)


def fault(
    number: str, month: int | None, year: int | None, cvc: str, now: tuple[int, int]
) -> Decline | None:
    """What is wrong with the details themselves, before any bank is asked.

    `now` is the current (year, month).
    """
    if not 12 <= len(number) <= 19 or not passes_luhn(number):
        return Decline("incorrect_number", "Your card number is incorrect.", param="number")
    if month is None or not 1 <= month <= 12:
        return Decline(
            "invalid_expiry_month", "Your card's expiration month is invalid.", param="exp_month"
        )
    if year is None or year > now[0] + 50 or (year, month) < now:
        return Decline(
            "invalid_expiry_year", "Your card's expiration year is invalid.", param="exp_year"
        )
    wanted = 4 if test_card(number).brand == "amex" else 3
    if not cvc.isdigit() or len(cvc) not in {3, wanted}:
        return Decline("invalid_cvc", "Your card's security code is invalid.", param="cvc")
    return None
