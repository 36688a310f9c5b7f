"""What a cart costs: the figures add up for every cart there can be."""

from hypothesis import given
from hypothesis import strategies as st

from webapp.orders.models import DiscountKind
from webapp.orders.pricing import Discount, Item, Quote, Shipping, Tax, price


def item(amount: int = 1000, quantity: int = 1, *, taxable: bool = True) -> Item:
    return Item(1, "bowl", "Bowl", "", "B-1", "physical", quantity, amount, 100, taxable)


POST = Shipping("post", "Post", 500, "UPS")
items = st.lists(
    st.builds(
        item,
        st.integers(0, 99_999_999),
        st.integers(1, 99),
        taxable=st.booleans(),
    ),
    max_size=8,
)
discounts = st.lists(
    st.one_of(
        st.builds(Discount, st.just(1), st.just("P"), st.just("percent"), st.integers(0, 10_000)),
        st.builds(Discount, st.just(2), st.just("A"), st.just("amount"), st.integers(0, 10**9)),
        st.builds(Discount, st.just(3), st.just("F"), st.just("free_shipping"), st.just(0)),
    ),
    max_size=3,
)
taxes = st.none() | st.builds(
    Tax, st.just("VAT"), st.integers(0, 10_000), st.booleans(), st.booleans()
)


@given(items, discounts, st.none() | st.just(POST), taxes)
def test_the_total_is_the_sum_of_its_parts(
    given_items: list[Item],
    given_discounts: list[Discount],
    shipping: Shipping | None,
    tax: Tax | None,
) -> None:
    quote = price("usd", given_items, given_discounts, shipping, tax)
    added = 0 if quote.tax_included else quote.tax_amount
    assert quote.total_amount == (
        quote.items_amount - quote.discount_amount + quote.shipping_amount + added
    )
    assert quote.total_amount >= 0
    assert sum(line.discount_amount for line in quote.lines) == quote.discount_amount
    assert sum(each.amount for each in quote.discounts) == quote.discount_amount
    assert sum(line.total_amount for line in quote.lines) == (
        quote.items_amount - quote.discount_amount
    )
    assert all(line.total_amount >= 0 for line in quote.lines)
    assert Quote.from_json(quote.to_json()) == quote


def test_tax_is_added_where_prices_are_net() -> None:
    quote = price("usd", [item(1000)], [], POST, Tax("Sales tax", 825, False, False))
    assert (quote.tax_amount, quote.total_amount) == (82, 1582)


def test_tax_is_shown_where_prices_contain_it() -> None:
    quote = price("eur", [item(1190)], [], None, Tax("MwSt.", 1900, True, True))
    assert (quote.tax_amount, quote.total_amount) == (190, 1190)


def test_tax_covers_shipping_where_the_rate_says_so() -> None:
    quote = price("usd", [item(1000)], [], POST, Tax("VAT", 1000, False, True))
    assert quote.tax_amount == 150


def test_untaxed_lines_carry_no_tax() -> None:
    quote = price("usd", [item(taxable=False), item()], [], None, Tax("VAT", 1000, False, False))
    assert [line.tax_amount for line in quote.lines] == [0, 100]


def test_discounts_stack_on_what_is_left() -> None:
    half = Discount(1, "HALF", DiscountKind.PERCENT.value, 5000)
    quote = price("usd", [item(1000)], [half, half], None, None)
    assert [each.amount for each in quote.discounts] == [500, 250]


def test_a_discount_never_pays_the_buyer() -> None:
    big = Discount(1, "BIG", DiscountKind.AMOUNT.value, 99_999)
    quote = price("usd", [item(1000)], [big], POST, None)
    assert (quote.discount_amount, quote.total_amount) == (1000, 500)


def test_free_shipping_makes_shipping_zero() -> None:
    free = Discount(1, "FREE", DiscountKind.FREE_SHIPPING.value, 0)
    assert price("usd", [item(1000)], [free], POST, None).total_amount == 1000
