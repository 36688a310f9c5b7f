"""What a session costs: one pure function over integer minor units."""

from dataclasses import dataclass
from decimal import Decimal

from sandbox.stripe import money
from sandbox.stripe.store import Json


@dataclass(frozen=True, slots=True)
class Line:
    """One line item before discount and tax; `amount` is unit amount times quantity."""

    amount: int
    product: str
    tax_rates: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A coupon's promise; `products` limits it to some of the lines."""

    percent_off: float | None
    amount_off: int | None
    products: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Tax:
    rate: Json
    amount: int
    taxable: int


@dataclass(frozen=True, slots=True)
class LineTotal:
    subtotal: int
    discount: int
    taxes: tuple[Tax, ...]
    total: int

    @property
    def tax(self) -> int:
        return sum(tax.amount for tax in self.taxes)


@dataclass(frozen=True, slots=True)
class Totals:
    lines: tuple[LineTotal, ...]
    shipping: int

    @property
    def subtotal(self) -> int:
        return sum(line.subtotal for line in self.lines)

    @property
    def discount(self) -> int:
        return sum(line.discount for line in self.lines)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        return sum(line.total for line in self.lines) + self.shipping


def line_amount(unit_amount_decimal: str, quantity: int) -> int:
    return money.rounded(Decimal(unit_amount_decimal) * quantity)


def discounts(lines: list[Line], offer: Offer | None) -> list[int]:
    """Each line's part of the discount; what is free already takes none."""
    if offer is None:
        return [0] * len(lines)
    weights = [
        line.amount if offer.products is None or line.product in offer.products else 0
        for line in lines
    ]
    if offer.percent_off is not None:
        total = money.rounded(sum(weights) * Decimal(str(offer.percent_off)) / 100)
    else:
        total = min(offer.amount_off or 0, sum(weights))
    return money.share(total, weights)


def taxes(amount: int, rates: tuple[Json, ...]) -> tuple[Tax, ...]:
    """Taxes on an amount after discount; inclusive ones are found inside it."""
    inside = sum(
        (Decimal(str(rate["percentage"])) for rate in rates if rate["inclusive"]), Decimal(0)
    )
    net = Decimal(amount) / (1 + inside / 100)
    taxable = money.rounded(net)
    found = []
    for rate in rates:
        exact = net * Decimal(str(rate["percentage"])) / 100
        found.append(Tax(rate, money.rounded(exact), taxable))
    return tuple(found)


def totals(lines: list[Line], offer: Offer | None, shipping: int) -> Totals:
    """Total = lines - discount + exclusive tax + shipping."""
    results = []
    for line, discount in zip(lines, discounts(lines, offer), strict=True):
        left = line.amount - discount
        due = taxes(left, line.tax_rates)
        added = sum(tax.amount for tax in due if not tax.rate["inclusive"])
        results.append(LineTotal(line.amount, discount, due, left + added))
    return Totals(tuple(results), shipping)
