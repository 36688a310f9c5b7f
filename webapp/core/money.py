"""Money is an integer of the currency's minor unit; this module alone turns it into text."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache

from babel.numbers import format_currency, get_currency_precision

from webapp.core.errors import DomainError


class InvalidAmount(DomainError):
    code = "amount_invalid"


def exponent(currency: str) -> int:
    """Return the number of decimals of an ISO 4217 currency: 2 for usd, 0 for jpy, 3 for kwd."""
    return get_currency_precision(currency.upper())


@lru_cache(maxsize=4096)
def format_money(amount: int, currency: str, locale: str = "en_US") -> str:
    """Return ``amount`` minor units as a person writes it: ``(1250, "usd")`` -> ``$12.50``."""
    value = Decimal(amount).scaleb(-exponent(currency))
    return format_currency(value, currency.upper(), locale=locale)


def to_decimal_text(amount: int, currency: str) -> str:
    """Return ``amount`` as plain decimal text without needless zeros: ``4299`` -> ``42.99``."""
    places = exponent(currency)
    text = f"{Decimal(amount).scaleb(-places):.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_amount(text: str, currency: str) -> int:
    """Return the minor units in decimal ``text``.

    Raises InvalidAmount for anything but a finite number >= 0 without more decimals than the
    currency has, or above what Stripe takes (99,999,999 minor units).
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise InvalidAmount(f"{text!r} is not an amount; write it like 12.50.") from None
    if not value.is_finite() or value < 0:
        raise InvalidAmount(f"{text!r} is not an amount of 0 or more.")
    minor = value.scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        raise InvalidAmount(f"{text!r} has more decimals than {currency.upper()} knows.")
    if minor > 99_999_999:
        raise InvalidAmount(f"{text!r} is more than a single payment can be.")
    return int(minor)


def share(amount: int, numerator: int, denominator: int) -> int:
    """Return ``amount * numerator / denominator`` rounded half to even, as banks do."""
    exact = Decimal(amount) * numerator / denominator
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def allocate(amount: int, weights: list[int]) -> list[int]:
    """Split ``amount`` in proportion to ``weights``; the parts sum to ``amount`` exactly.

    The largest remainders take the odd units, earlier ones first among equals.
    """
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for index in by_remainder[: amount - sum(parts)]:
        parts[index] += 1
    return parts
