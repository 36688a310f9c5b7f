"""What a cart costs: one pure function, and every figure anybody sees comes from it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from webapp.core.money import allocate, share
from webapp.orders.models import DiscountKind


@dataclass(frozen=True, slots=True)
class Item:
    """A line to price, with everything an order must remember of it. Amounts in minor units."""

    sku_id: int
    slug: str
    title: str
    options_text: str
    code: str
    kind: str
    quantity: int
    unit_amount: int
    weight_grams: int
    taxable: bool

    @property
    def amount(self) -> int:
        return self.unit_amount * self.quantity


@dataclass(frozen=True, slots=True)
class Discount:
    """A code's terms. ``value``: basis points for percent, minor units for amount."""

    discount_code_id: int
    code: str
    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class Shipping:
    code: str
    name: str
    amount: int
    carrier: str


@dataclass(frozen=True, slots=True)
class Tax:
    name: str
    basis_points: int
    inclusive: bool
    on_shipping: bool


@dataclass(frozen=True, slots=True)
class QuoteLine:
    item: Item
    discount_amount: int
    tax_amount: int
    total_amount: int


@dataclass(frozen=True, slots=True)
class QuoteDiscount:
    discount_code_id: int
    code: str
    kind: str
    amount: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A priced cart: total = items - discounts + shipping + tax (tax 0 of it when included)."""

    currency: str
    lines: tuple[QuoteLine, ...]
    items_amount: int
    discounts: tuple[QuoteDiscount, ...]
    discount_amount: int
    shipping: Shipping | None
    shipping_amount: int
    tax_name: str
    tax_amount: int
    tax_included: bool
    total_amount: int
    country: str | None = field(default=None)

    @property
    def shipping_method(self) -> str | None:
        return self.shipping.name if self.shipping else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        lines = tuple(QuoteLine(**{**line, "item": Item(**line["item"])}) for line in data["lines"])
        discounts = tuple(QuoteDiscount(**each) for each in data["discounts"])
        shipping = Shipping(**data["shipping"]) if data["shipping"] else None
        return cls(**{**data, "lines": lines, "discounts": discounts, "shipping": shipping})


def price(
    currency: str,
    items: list[Item],
    discounts: list[Discount],
    shipping: Shipping | None,
    tax: Tax | None,
    country: str | None = None,
) -> Quote:
    """Price a cart.

    Discounts apply in the order given, each to what the ones before left, never below zero, and
    are spread over the lines in proportion. Free shipping makes the shipping amount zero. Tax is
    taken on discounted taxable lines, and on shipping where the rate says so.
    """
    items_amount = sum(item.amount for item in items)
    granted = _grant(discounts, items_amount)
    discount_amount = sum(each.amount for each in granted)
    free = any(each.kind == DiscountKind.FREE_SHIPPING for each in granted)
    shipping_amount = 0 if shipping is None or free else shipping.amount
    parts = allocate(discount_amount, [item.amount for item in items])
    nets = [item.amount - part for item, part in zip(items, parts, strict=True)]
    taxable = [net if item.taxable else 0 for item, net in zip(items, nets, strict=True)]
    shipping_base = shipping_amount if tax and tax.on_shipping else 0
    tax_amount = _tax(sum(taxable) + shipping_base, tax)
    line_taxes = allocate(tax_amount, [*taxable, shipping_base])[: len(items)]
    included = tax.inclusive if tax else False
    added = 0 if included else tax_amount
    return Quote(
        currency=currency,
        lines=tuple(
            QuoteLine(item, part, line_tax, net)
            for item, part, line_tax, net in zip(items, parts, line_taxes, nets, strict=True)
        ),
        items_amount=items_amount,
        discounts=tuple(granted),
        discount_amount=discount_amount,
        shipping=shipping,
        shipping_amount=shipping_amount,
        tax_name=tax.name if tax else "",
        tax_amount=tax_amount,
        tax_included=included,
        total_amount=items_amount - discount_amount + shipping_amount + added,
        country=country,
    )


def _grant(discounts: list[Discount], items_amount: int) -> list[QuoteDiscount]:
    left = items_amount
    granted = []
    for each in discounts:
        amount = min(_worth(each, left), left)
        left -= amount
        granted.append(QuoteDiscount(each.discount_code_id, each.code, each.kind, amount))
    return granted


def _worth(discount: Discount, base: int) -> int:
    match discount.kind:
        case DiscountKind.PERCENT:
            return share(base, discount.value, 10_000)
        case DiscountKind.AMOUNT:
            return discount.value
        case _:
            return 0


def _tax(base: int, tax: Tax | None) -> int:
    if tax is None:
        return 0
    whole = 10_000 + tax.basis_points if tax.inclusive else 10_000
    return share(base, tax.basis_points, whole)
