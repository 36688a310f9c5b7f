"""Everything a page of the shop shows, in one statement and one journey to Postgres.

A journey costs more than most of these reads, so a page's statements travel together and come
back as lists in JSON: the shop's face, the visitor's cart count, and what the page is about.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Uuid, and_, exists, func, literal_column, select
from sqlalchemy.sql.expression import ColumnElement

from webapp.campaigns.models import CampaignSettings, Email
from webapp.catalog.queries import CollectionFace, CollectionLink, ProductCard, ProductDetail
from webapp.catalog.queries import product as product_queries
from webapp.catalog.queries import shelf as shelf_queries
from webapp.catalog.queries.parts import hidden, rows, table
from webapp.catalog.queries.shelf import PAGE_SIZE, read_card, read_link
from webapp.core import clock
from webapp.core.errors import ConfigError
from webapp.core.models import Shop
from webapp.orders.models import Cart, CartSku


@dataclass(frozen=True, slots=True)
class ShopFace:
    """What every page shows of the shop."""

    name: str
    tagline: str
    support_email: str
    postal_address: str
    locale: str
    currency: str
    accent: str
    has_archive: bool = False
    has_plans: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page's content."""

    shop: ShopFace
    cart_count: int


@dataclass(frozen=True, slots=True)
class FrontPage:
    frame: Frame
    featured: list[ProductCard]
    collections: list[CollectionLink]


@dataclass(frozen=True, slots=True)
class ShelfPage:
    """A page of a shelf; ``total`` counts all its products, on whatever page."""

    frame: Frame
    cards: list[ProductCard]
    total: int
    collections: list[CollectionLink]
    collection: CollectionFace | None


@dataclass(frozen=True, slots=True)
class ProductPage:
    frame: Frame
    product: ProductDetail | None


shop = table(Shop)
cart = table(Cart)
cart_sku = table(CartSku)
email = table(Email)
habits = table(CampaignSettings)

IS_PUBLIC = and_(
    email.c.public, email.c.state == literal_column("'sent'"), email.c.slug.is_not(None)
)
HAS_ARCHIVE = and_(
    exists(select(email.c.id).where(IS_PUBLIC)),
    ~exists(select(habits.c.id).where(~habits.c.archive)),
)
SHOP = select(
    shop.c.name,
    shop.c.tagline,
    shop.c.support_email,
    shop.c.postal_address,
    shop.c.locale,
    shop.c.currency,
    shop.c.accent,
    HAS_ARCHIVE.label("has_archive"),
    shop.c.has_plans,
)
CART_COUNT = (
    select(func.coalesce(func.sum(cart_sku.c.quantity), literal_column("0")).label("count"))
    .join(cart, cart.c.id == cart_sku.c.cart_id)
    .where(
        cart.c.id == hidden("cart_id", Uuid()),
        cart.c.state == literal_column("'open'"),
        cart.c.expires_at > hidden("now", cart.c.expires_at.type),
    )
)


def _together(**statements: Select[Any]) -> Select[Any]:
    """Return one statement with one row: for each of ``statements`` its rows as lists in JSON."""
    return select(*(_as_lists(name, each) for name, each in statements.items()))


def _as_lists(name: str, statement: Select[Any]) -> ColumnElement[Any]:
    inner = statement.subquery(f"{name}_rows")
    lists = func.json_agg(func.json_build_array(*inner.c))
    return select(func.coalesce(lists, literal_column("'[]'::json"))).scalar_subquery().label(name)


def _page(**statements: Select[Any]) -> Select[Any]:
    return _together(shop=SHOP, cart=CART_COUNT, **statements)


def _shelf(cards: Select[Any], total: Select[Any], **more: Select[Any]) -> Select[Any]:
    links = shelf_queries.COLLECTION_LINKS
    return _page(cards=cards, total=total, links=links, **more)


FRONT_PAGE = _page(cards=shelf_queries.FEATURED, links=shelf_queries.COLLECTION_LINKS)
EVERYTHING = _shelf(shelf_queries.EVERYTHING, shelf_queries.EVERYTHING_COUNT)
TAGGED = _shelf(shelf_queries.TAGGED, shelf_queries.TAGGED_COUNT)
COLLECTED = _shelf(
    shelf_queries.COLLECTED, shelf_queries.COLLECTED_COUNT, collection=shelf_queries.COLLECTION
)
PRODUCT_PAGE = _page(product=product_queries.PRODUCT, variants=product_queries.VARIANTS)


def _read(page: Select[Any], cart_id: uuid.UUID | None, **values: object) -> Any:
    return rows(page, cart_id=cart_id, now=clock.now(), **values)[0]


def _frame(answer: Any) -> Frame:
    if not answer.shop:
        raise ConfigError("This fork has no shop yet; run `flask fork create` for it.")
    return Frame(ShopFace(*answer.shop[0]), answer.cart[0][0])


def read_front_page(cart_id: uuid.UUID | None) -> FrontPage:
    answer = _read(FRONT_PAGE, cart_id)
    return FrontPage(
        _frame(answer),
        [read_card(row) for row in answer.cards],
        [read_link(row) for row in answer.links],
    )


def read_shelf(cart_id: uuid.UUID | None, number: int) -> ShelfPage:
    """Return page ``number`` (from 1) of all published products."""
    return _shelf_page(_read(EVERYTHING, cart_id, skip=_skip(number)))


def read_tagged(cart_id: uuid.UUID | None, number: int, tag: str) -> ShelfPage:
    """Return page ``number`` of the published products that carry exactly ``tag``."""
    return _shelf_page(_read(TAGGED, cart_id, skip=_skip(number), tags=[tag]))


def read_collected(cart_id: uuid.UUID | None, number: int, slug: str) -> ShelfPage:
    """Return page ``number`` of a collection; ``collection`` is None where there is none."""
    answer = _read(COLLECTED, cart_id, skip=_skip(number), slug=slug)
    face = CollectionFace(*answer.collection[0]) if answer.collection else None
    return _shelf_page(answer, face)


def _skip(number: int) -> int:
    return (number - 1) * PAGE_SIZE


def _shelf_page(answer: Any, collection: CollectionFace | None = None) -> ShelfPage:
    return ShelfPage(
        _frame(answer),
        [read_card(row) for row in answer.cards],
        answer.total[0][0],
        [read_link(row) for row in answer.links],
        collection,
    )


def read_product_page(cart_id: uuid.UUID | None, slug: str) -> ProductPage:
    """Return the page of the published product at ``slug``; ``product`` is None without it."""
    answer = _read(PRODUCT_PAGE, cart_id, slug=slug)
    if not answer.product:
        return ProductPage(_frame(answer), None)
    found = product_queries.read_product(answer.product[0], answer.variants)
    return ProductPage(_frame(answer), found)
