"""Reading carts as their page and the checkout need them, priced now."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from webapp.accounts.models import Address, Member
from webapp.catalog.queries import Offer, list_offers
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.orders import pricing
from webapp.orders.countries import country_names
from webapp.orders.models import (
    Cart,
    CartDiscount,
    CartSku,
    CartState,
    Checkout,
    CheckoutState,
    DiscountCode,
    Order,
    OrderDiscount,
    ReservationState,
    ShippingMethod,
    StockReservation,
    TaxRate,
)

MAX_QUANTITY = 99
LIVE = (CheckoutState.OPENING, CheckoutState.OPEN, CheckoutState.PROCESSING)


@dataclass(frozen=True, slots=True)
class CartLine:
    """A line as shown. ``max_quantity`` is None when stock doesn't limit it."""

    sku_id: int
    slug: str
    title: str
    options_text: str
    picture_url: str | None
    quantity: int
    max_quantity: int | None
    unit_amount: int
    total_amount: int
    notice: str | None
    sellable: bool


@dataclass(frozen=True, slots=True)
class Country:
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class ShippingChoice:
    code: str
    name: str
    amount: int
    selected: bool


@dataclass(frozen=True, slots=True)
class CartView:
    """A cart with everything its page and the checkout need, priced now."""

    lines: list[CartLine]
    quote: pricing.Quote
    notices: list[str]
    countries: list[Country]
    country: str | None
    shipping_methods: list[ShippingChoice]
    email: str | None

    @property
    def empty(self) -> bool:
        return not self.lines

    @property
    def pieces(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def needs_shipping(self) -> bool:
        return any(line.item.kind == "physical" for line in self.quote.lines)


def find_cart(cart_id: uuid.UUID | None) -> Cart | None:
    """Return the open, unexpired cart of a cookie, or None."""
    if cart_id is None:
        return None
    return db.session.scalar(
        select(Cart)
        .where(Cart.id == cart_id, Cart.state == CartState.OPEN, Cart.expires_at > clock.now())
        .options(selectinload(Cart.lines), selectinload(Cart.discounts))
    )


def is_anothers_cart(cart_id: uuid.UUID, user_id: uuid.UUID | None) -> bool:
    """Say whether a cart is a member's, and not this user's (None: nobody is logged in)."""
    owner = db.session.scalar(select(Cart.user_id).where(Cart.id == cart_id))
    return owner is not None and owner != user_id


def count_cart(cart_id: uuid.UUID | None) -> int:
    """Return the number of pieces in a cart, 0 for none."""
    if cart_id is None:
        return 0
    total = db.session.scalar(
        select(func.sum(CartSku.quantity))
        .join(Cart, Cart.id == CartSku.cart_id)
        .where(Cart.id == cart_id, Cart.state == CartState.OPEN, Cart.expires_at > clock.now())
    )
    return int(total or 0)


def view_cart(cart_id: uuid.UUID | None, shop: Shop) -> CartView:
    """Return the cart as it would sell now; what changed since it was last seen is in words."""
    cart = find_cart(cart_id)
    if cart is None or not cart.lines:
        empty = pricing.price(shop.currency, [], [], None, None)
        return CartView([], empty, [], [], None, [], None)
    return view_open_cart(cart, shop)


def view_open_cart(cart: Cart, shop: Shop) -> CartView:
    offers = list_offers([line.sku_id for line in cart.lines])
    own = _own_reservations(cart.id)
    lines = [_line(line, offers.get(line.sku_id), own.get(line.sku_id, 0)) for line in cart.lines]
    items = [_item(line, offers[line.sku_id]) for line in lines if line.sellable]
    methods = _methods(items)
    countries = _countries(methods, shop) if _ships(items) else []
    country = _country(cart, shop, countries)
    choices = [m for m in methods if not m.countries or country in m.countries]
    chosen = next((m for m in choices if m.code == cart.shipping_code), None)
    chosen = chosen or (choices[0] if choices else None)
    shipping = (
        pricing.Shipping(chosen.code, chosen.name, chosen.unit_amount, chosen.carrier)
        if chosen and _ships(items)
        else None
    )
    discounts, refused = _discounts(cart, items)
    quote = pricing.price(cart.currency, items, discounts, shipping, _tax(country), country)
    return CartView(
        lines=lines,
        quote=quote,
        notices=[f"{line.title}: {line.notice}" for line in lines if line.notice] + refused,
        countries=countries,
        country=country,
        shipping_methods=[
            ShippingChoice(m.code, m.name, m.unit_amount, m is chosen)
            for m in (choices if _ships(items) else [])
        ],
        email=cart.email,
    )


def _own_reservations(cart_id: uuid.UUID) -> dict[int, int]:
    """Pieces held by the cart's own open checkout: they are not gone, they are the buyer's."""
    rows = db.session.execute(
        select(StockReservation.sku_id, StockReservation.quantity)
        .join(Checkout, Checkout.id == StockReservation.checkout_id)
        .where(
            Checkout.cart_id == cart_id,
            Checkout.state.in_(LIVE),
            StockReservation.state == ReservationState.HELD,
        )
    )
    return {row.sku_id: row.quantity for row in rows}


def _line(line: CartSku, offer: Offer | None, own: int) -> CartLine:
    if offer is None or not offer.published:
        title = offer.title if offer else "This item"
        slug = offer.slug if offer else ""
        gone = "no longer sold; remove it to go on."
        return CartLine(line.sku_id, slug, title, "", None, line.quantity, 0, 0, 0, gone, False)
    left = None if offer.available is None else max(offer.available + own, 0)
    sellable = left != 0
    return CartLine(
        sku_id=line.sku_id,
        slug=offer.slug,
        title=offer.title,
        options_text=offer.options_text,
        picture_url=offer.picture_url,
        quantity=line.quantity,
        max_quantity=None if left is None else min(left, MAX_QUANTITY),
        unit_amount=offer.unit_amount,
        total_amount=offer.unit_amount * line.quantity if sellable else 0,
        notice=_notice(line, offer, left),
        sellable=sellable,
    )


def _notice(line: CartSku, offer: Offer, left: int | None) -> str | None:
    if left == 0:
        return "sold out; remove it to go on."
    if left is not None and left < line.quantity:
        return f"only {left} left; lower the quantity to go on."
    if offer.unit_amount != line.seen_unit_amount:
        rose = offer.unit_amount > line.seen_unit_amount
        return f"the price went {'up' if rose else 'down'} since you put it in."
    return None


def _item(line: CartLine, offer: Offer) -> pricing.Item:
    return pricing.Item(
        sku_id=line.sku_id,
        slug=offer.slug,
        title=offer.title,
        options_text=offer.options_text,
        code=offer.code,
        kind=offer.kind,
        quantity=line.quantity,
        unit_amount=offer.unit_amount,
        weight_grams=offer.weight_grams,
        taxable=offer.taxable,
    )


def _ships(items: list[pricing.Item]) -> bool:
    return any(item.kind == "physical" for item in items)


def _methods(items: list[pricing.Item]) -> Sequence[ShippingMethod]:
    weight = sum(item.weight_grams * item.quantity for item in items if item.kind == "physical")
    heaviest = ShippingMethod.max_weight_grams
    return db.session.scalars(
        select(ShippingMethod)
        .where(
            ShippingMethod.active,
            ShippingMethod.min_weight_grams <= weight,
            (heaviest.is_(None)) | (heaviest >= weight),
        )
        .order_by(ShippingMethod.position, ShippingMethod.id)
    ).all()


def _countries(methods: Sequence[ShippingMethod], shop: Shop) -> list[Country]:
    names = country_names(shop.locale)
    codes = {code for method in methods for code in method.countries}
    if any(not method.countries for method in methods):
        codes |= names.keys()
    found = [Country(code, names.get(code, code)) for code in codes]
    return sorted(found, key=lambda country: country.name)


def _country(cart: Cart, shop: Shop, countries: list[Country]) -> str | None:
    codes = {country.code for country in countries}
    chosen = cart.country or _home_country(cart) or shop.country
    if not codes:
        return chosen
    for code in (chosen, shop.country):
        if code in codes:
            return code
    return countries[0].code


def _home_country(cart: Cart) -> str | None:
    """Return the country of the member's default address."""
    if cart.user_id is None:
        return None
    return db.session.scalar(
        select(Address.country)
        .join(Member, Member.id == Address.member_id)
        .where(Member.user_id == cart.user_id, Address.is_default)
    )


def _tax(country: str | None) -> pricing.Tax | None:
    rate = db.session.scalar(select(TaxRate).where(TaxRate.country == (country or "")))
    if rate is None:
        return None
    return pricing.Tax(rate.name, rate.basis_points, rate.inclusive, rate.on_shipping)


def _discounts(cart: Cart, items: list[pricing.Item]) -> tuple[list[pricing.Discount], list[str]]:
    """Return the cart's codes that hold now, and a sentence for each that doesn't."""
    if not cart.discounts:
        return [], []
    codes = db.session.scalars(
        select(DiscountCode)
        .join(CartDiscount, CartDiscount.discount_code_id == DiscountCode.id)
        .where(CartDiscount.cart_id == cart.id)
        .order_by(CartDiscount.id)
    ).all()
    amount = sum(item.amount for item in items)
    held, refused = [], []
    live = find_live_checkout(cart.id)
    counted = {each["discount_code_id"] for each in live.quote["discounts"]} if live else set()
    for code in codes:
        why = why_not(code, amount, own_uses=int(code.id in counted))
        if why:
            refused.append(why)
        else:
            held.append(pricing.Discount(code.id, code.code, code.kind.value, code.value))
    return held, refused


def why_not(code: DiscountCode, items_amount: int, own_uses: int = 0) -> str | None:
    """Return the sentence that says why a code gives nothing now, or None when it does.

    ``own_uses`` are those the asking cart's own open checkout has counted already.
    """
    now = clock.now()
    if not code.active or (code.ends_at and code.ends_at <= now):
        return f"The code {code.code} is no longer valid."
    if code.starts_at and code.starts_at > now:
        return f"The code {code.code} is not valid yet."
    if code.total_limit is not None and code.used - own_uses >= code.total_limit:
        return f"The code {code.code} has been used up."
    if items_amount < code.minimum_amount:
        return f"The code {code.code} needs a larger order."
    return None


def count_uses(discount_code_id: int, email: str) -> int:
    """Return how many orders of ``email`` used the code."""
    uses = db.session.scalar(
        select(func.count())
        .select_from(OrderDiscount)
        .join(Order, Order.id == OrderDiscount.order_id)
        .where(OrderDiscount.discount_code_id == discount_code_id, Order.email == email)
    )
    return int(uses or 0)


def find_live_checkout(cart_id: uuid.UUID) -> Checkout | None:
    return db.session.scalar(
        select(Checkout).where(Checkout.cart_id == cart_id, Checkout.state.in_(LIVE))
    )
