"""What a session costs, for any cart: the parts always add up."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.stripe import money
from sandbox.stripe.checkout.totals import Line, Offer, totals

rates = st.builds(
    lambda percentage, inclusive: {
        "id": "txr",
        "display_name": "Tax",
        "percentage": percentage,
        "inclusive": inclusive,
    },
    st.decimals(0, 30, places=2).map(float),
    st.booleans(),
)
lines = st.lists(
    st.builds(
        Line,
        st.integers(0, 10**7),
        st.sampled_from(["a", "b"]),
        st.lists(rates, max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=8,
)
offers = (
    st.none()
    | st.builds(
        Offer,
        percent_off=st.decimals(1, 100, places=2).map(float),
        amount_off=st.none(),
        products=st.none() | st.just(frozenset({"a"})),
    )
    | st.builds(Offer, percent_off=st.none(), amount_off=st.integers(1, 10**7))
)


@settings(max_examples=60, deadline=None)
@given(lines, offers, st.integers(0, 10_000))
def test_the_parts_add_up(cart: list[Line], offer: Offer | None, shipping: int) -> None:
    sums = totals(cart, offer, shipping)
    outside = sum(
        tax.amount for line in sums.lines for tax in line.taxes if not tax.rate["inclusive"]
    )
    assert sums.total == sums.subtotal - sums.discount + outside + shipping
    assert 0 <= sums.discount <= sums.subtotal
    for line, result in zip(cart, sums.lines, strict=True):
        assert 0 <= result.discount <= line.amount
        assert result.tax >= 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**7), min_size=1, max_size=9))
def test_a_shared_amount_is_shared_whole(total: int, weights: list[int]) -> None:
    parts = money.share(total, weights)
    assert sum(parts) == (total if sum(weights) else 0)


def test_money_is_written_as_people_read_it() -> None:
    assert money.written(123456, "usd") == "$1,234.56"
    assert money.written(-50, "eur") == "-€0.50"
    assert money.written(500, "jpy") == "¥500"
    assert money.written(1234, "kwd") == "KWD 1.234"
