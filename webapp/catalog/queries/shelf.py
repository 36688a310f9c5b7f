"""Shelves: all products, a collection, a tag, the front page; 24 cards a page."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ScalarSelect,
    Select,
    Text,
    and_,
    false,
    func,
    lateral,
    literal_column,
    select,
    true,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects.postgresql import TEXT, distinct_on
from sqlalchemy.sql.expression import ColumnElement, FromClause

from webapp.catalog.queries.parts import (
    ONE,
    available,
    collection,
    collection_product,
    file_name,
    hidden,
    picture,
    picture_url,
    price,
    product,
    product_image,
    product_sku,
    product_url,
    published,
    sku_inventory,
)

PAGE_SIZE = 24
FEATURED_SIZE = 8
LINKED_COLLECTIONS = 24
# How far the collections in the menu are counted; past it the menu says "100+".
COUNTED = 100


class ProductCard(NamedTuple):
    """A product on a shelf, at its cheapest variant's price (None: not priced, so not sold).

    A tuple, as the template of a shelf takes all cards apart.
    """

    slug: str
    title: str
    vendor: str
    price_amount: int | None
    compare_at_amount: int | None
    currency: str
    picture_url: str | None
    picture_alt: str
    sold_out: bool
    from_price: bool
    url: str


@dataclass(frozen=True, slots=True)
class CollectionLink:
    """A way into the shop; ``count`` is for people: ``12``, or ``100+``."""

    slug: str
    title: str
    count: str


@dataclass(frozen=True, slots=True)
class CollectionFace:
    slug: str
    title: str
    description: str


def read_card(row: Any) -> ProductCard:
    """Return the card in a row of a shelf's statement."""
    slug, title, vendor, amount, compare_at, currency, name, alt, sold_out, from_price = row
    return ProductCard(
        slug,
        title,
        vendor,
        amount,
        compare_at,
        currency or "",
        picture_url(name),
        alt or "",
        sold_out,
        from_price,
        product_url(slug),
    )


def read_link(row: Any) -> CollectionLink:
    """Return the link in a row of COLLECTION_LINKS."""
    slug, title, count = row
    return CollectionLink(slug, title, f"{count}+" if count == COUNTED else str(count))


def _cards(chosen: Select[Any]) -> Select[Any]:
    """Return the statement of the cards of ``chosen``: ``id`` and ``rank``, cut to a page already.

    A card's price is its cheapest variant's. All cards' variants are joined at once and thinned out
    afterwards: looking them up card by card takes twice as long.
    """
    shelf = chosen.cte("shelf").prefix_with("MATERIALIZED", dialect="postgresql")
    offer, shot = _offers_on(shelf), _shots_on(shelf)
    return (
        select(
            product.c.slug,
            product.c.title,
            product.c.vendor,
            offer.c.unit_amount,
            offer.c.compare_at_amount,
            offer.c.currency,
            shot.c.file_name,
            shot.c.alt,
            func.coalesce(offer.c.sold_out, true()).label("sold_out"),
            func.coalesce(offer.c.highest > offer.c.unit_amount, false()).label("from_price"),
        )
        .select_from(shelf)
        .join(product, product.c.id == shelf.c.id)
        .outerjoin(offer, offer.c.product_id == shelf.c.id)
        .outerjoin(shot, shot.c.product_id == shelf.c.id)
        .order_by(shelf.c.rank, shelf.c.id)
    )


def _offers_on(shelf: FromClause) -> FromClause:
    product_id = product_sku.c.product_id
    gone = func.coalesce(available <= literal_column("0"), false())
    return (
        select(
            product_id,
            price.c.unit_amount,
            price.c.compare_at_amount,
            price.c.currency,
            func.max(price.c.unit_amount).over(partition_by=product_id).label("highest"),
            func.bool_and(gone).over(partition_by=product_id).label("sold_out"),
        )
        .ext(distinct_on(product_id))
        .select_from(shelf)
        .join(product_sku, product_id == shelf.c.id)
        .outerjoin(sku_inventory, sku_inventory.c.sku_id == product_sku.c.sku_id)
        .join(price, true())
        .order_by(product_id, price.c.unit_amount, product_sku.c.position)
        .subquery("offer")
    )


def _shots_on(shelf: FromClause) -> FromClause:
    product_id = product_image.c.product_id
    return (
        select(product_id, file_name.label("file_name"), product_image.c.alt)
        .ext(distinct_on(product_id))
        .select_from(shelf)
        .join(product_image, product_id == shelf.c.id)
        .join(picture, picture.c.id == product_image.c.picture_id)
        .order_by(product_id, product_image.c.position)
        .subquery("shot")
    )


def _page(chosen: Select[Any], *order: ColumnElement[Any]) -> Select[Any]:
    skip = hidden("skip", BigInteger())
    return chosen.order_by(*order).limit(literal_column(str(PAGE_SIZE))).offset(skip)


def _count(chosen: FromClause) -> Select[Any]:
    return select(func.count().label("total")).select_from(chosen)


def _page_of_some(members: Select[Any]) -> tuple[Select[Any], Select[Any]]:
    """Return the statements of a page of ``members`` and of their number, which find them once."""
    found = members.cte("members").prefix_with("MATERIALIZED", dialect="postgresql")
    page = _page(select(found.c.id, found.c.rank), found.c.rank, found.c.id)
    return _cards(page), _count(found)


_shelf_order = (product.c.position, product.c.id)
_everything = select(product.c.id, product.c.position.label("rank")).where(published)
_collection_id: ScalarSelect[int] = (
    select(collection.c.id).where(collection.c.slug == hidden("slug", Text())).scalar_subquery()
)
_collected = (
    select(product.c.id, collection_product.c.position.label("rank"))
    .join(collection_product, collection_product.c.product_id == product.c.id)
    .where(published, collection_product.c.collection_id == _collection_id)
)
_tagged = _everything.where(
    product.c.tags.contains(as_type(hidden("tags", ARRAY(TEXT)), ARRAY(TEXT)))
)

FEATURED = _cards(_everything.order_by(*_shelf_order).limit(literal_column(str(FEATURED_SIZE))))
# The ids are chosen from the index alone, so that page 2000 doesn't read 48,000 products.
EVERYTHING = _cards(_page(_everything, *_shelf_order))
EVERYTHING_COUNT = _count(_everything.subquery())
COLLECTED, COLLECTED_COUNT = _page_of_some(_collected)
TAGGED, TAGGED_COUNT = _page_of_some(_tagged)

_members: Select[Any] = (
    select(ONE.label("one"))
    .select_from(collection_product)
    .join(product, and_(product.c.id == collection_product.c.product_id, published))
    .where(collection_product.c.collection_id == collection.c.id)
)
_counted = lateral(
    select(func.count().label("count")).select_from(
        _members.limit(literal_column(str(COUNTED))).correlate(collection).subquery()
    ),
    name="members",
)
COLLECTION_LINKS = (
    select(collection.c.slug, collection.c.title, _counted.c.count)
    .select_from(collection)
    .join(_counted, _counted.c.count > literal_column("0"))
    .order_by(collection.c.position, collection.c.title)
    .limit(literal_column(str(LINKED_COLLECTIONS)))
)
COLLECTION = select(collection.c.slug, collection.c.title, collection.c.description).where(
    collection.c.id == _collection_id
)
