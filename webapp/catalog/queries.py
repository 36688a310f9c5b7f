"""What the shelves show: few statements of plain columns per page, fast at 100,000 products."""

from collections.abc import Collection as Ids
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Executable,
    Function,
    ScalarSelect,
    Select,
    Table,
    and_,
    any_,
    bindparam,
    case,
    false,
    func,
    lateral,
    literal_column,
    null,
    or_,
    select,
    true,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects.postgresql import TEXT, aggregate_order_by, distinct_on
from sqlalchemy.sql.expression import ColumnElement, FromClause
from sqlalchemy.types import TypeEngine

from webapp.catalog import models
from webapp.core import clock
from webapp.core.db import Base, db


def _table(model: type[Base]) -> Table:
    return cast(Table, model.__table__)


product = _table(models.Product)
product_option = _table(models.ProductOption)
product_sku = _table(models.ProductSku)
product_image = _table(models.ProductImage)
product_video = _table(models.ProductVideo)
sku = _table(models.Sku)
sku_image = _table(models.SkuImage)
sku_inventory = _table(models.SkuInventory)
sku_price = _table(models.SkuPrice)
picture = _table(models.Picture)
slug_redirect = _table(models.SlugRedirect)
collection = _table(models.Collection)
collection_product = _table(models.CollectionProduct)

PICTURES_PATH = "/media/pictures/"
DEFAULT_TITLE = "Default Title"
PAGE_SIZE = 24
FEATURED_SIZE = 8
LINKED_COLLECTIONS = 24
# How far the collections in the menu are counted; past it the menu says "100+".
COUNTED = 100
SITEMAP_BLOCK = 25_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A sku as it can be bought now. ``available`` is None when nothing limits it."""

    sku_id: int
    product_id: int
    slug: str
    title: str
    options_text: str
    code: str
    kind: str
    unit_amount: int
    compare_at_amount: int | None
    currency: str
    weight_grams: int
    taxable: bool
    available: int | None
    published: bool
    picture_url: str | None


@dataclass(frozen=True, slots=True)
class ProductCard:
    """A product on a shelf, at its cheapest variant's price (None: not priced, so not sold)."""

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
    id: int
    slug: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """Some products in their order, and how many there are in all."""

    cards: list[ProductCard]
    total: int


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    values: list[str]


@dataclass(frozen=True, slots=True)
class Shot:
    url: str | None
    alt: str


@dataclass(frozen=True, slots=True)
class Video:
    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to buy a product. ``available`` is None when nothing limits it."""

    sku_id: int
    code: str
    title: str
    option_values: tuple[str, ...]
    price_amount: int
    compare_at_amount: int | None
    currency: str
    available: int | None
    sold_out: bool
    picture_url: str | None


@dataclass(frozen=True, slots=True)
class ProductDetail:
    """A published product with all it takes to show it. ``body_html`` is as imported: clean it."""

    slug: str
    title: str
    body_html: str
    vendor: str
    product_type: str
    tags: list[str]
    seo_title: str
    seo_description: str
    collection: tuple[str, str] | None
    options: list[Option]
    pictures: list[Shot]
    videos: list[Video]
    variants: list[Variant]

    @property
    def url(self) -> str:
        return product_url(self.slug)


@dataclass(frozen=True, slots=True)
class SitemapEntry:
    path: str
    updated_at: datetime


def product_url(slug: str) -> str:
    """Return a product's path; ``url_for`` costs too much for every card of a shelf."""
    return f"/products/{quote(slug)}"


def options_text(values: Ids[str]) -> str:
    """Return ``("Large", "Blue", "")`` as ``Large / Blue``; a product's only variant has none."""
    return " / ".join(value for value in values if value and value != DEFAULT_TITLE)


def _picture_url(file_name: str | None) -> str | None:
    return PICTURES_PATH + file_name if file_name else None


def _rows(statement: Executable, **values: object) -> list[Any]:
    # The connection rather than the session: nothing here is an entity, and it is half the price.
    return list(db.session.connection().execute(statement, values))


def _hidden(name: str, type_: TypeEngine[Any]) -> ScalarSelect[Any]:
    """Return a parameter that Postgres' planner can't look into.

    Planning a shelf costs more than running it. Postgres plans a prepared statement anew for each
    value as long as that looks cheaper; when all values look the same it keeps the first plan.
    """
    return select(bindparam(name, type_=type_)).scalar_subquery()


# Literals, as a partial index can't serve a parameter.
ONE: ColumnElement[int] = literal_column("1")
published = product.c.status == literal_column("'published'")
fetched = picture.c.state == literal_column("'fetched'")
file_name: ColumnElement[str | None] = case((fetched, picture.c.file_name))

price = lateral(
    select(sku_price.c.unit_amount, sku_price.c.compare_at_amount, sku_price.c.currency)
    .where(
        sku_price.c.sku_id == product_sku.c.sku_id,
        sku_price.c.in_force_at <= _hidden("now", DateTime(timezone=True)),
    )
    .order_by(sku_price.c.in_force_at.desc(), sku_price.c.id.desc())
    .limit(ONE),
    name="price",
)

# None: nothing limits it. A sku without a row of stock has none.
available = case(
    (or_(sku_inventory.c.backorder, ~sku_inventory.c.tracked), null()),
    else_=func.greatest(
        func.coalesce(sku_inventory.c.on_hand - sku_inventory.c.reserved, literal_column("0")),
        literal_column("0"),
    ),
)


def _cards(chosen: Select[Any], total: ScalarSelect[int] | None = None) -> Select[Any]:
    """Return the statement of the cards of ``chosen``: ``id`` and ``rank``, cut to a page already.

    A card's price is its cheapest variant's. All cards' variants are joined at once and thinned out
    afterwards: looking them up card by card takes twice as long.
    """
    shelf = chosen.cte("shelf").prefix_with("MATERIALIZED", dialect="postgresql")
    offer, shot = _offers_on(shelf), _shots_on(shelf)
    columns = [
        product.c.slug,
        product.c.title,
        product.c.vendor,
        offer.c.unit_amount,
        offer.c.compare_at_amount,
        offer.c.currency,
        shot.c.file_name,
        shot.c.alt,
        func.coalesce(offer.c.sold_out, true()),
        func.coalesce(offer.c.highest > offer.c.unit_amount, false()),
    ]
    if total is not None:
        columns.append(total)
    return (
        select(*columns)
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
            product_sku.c.product_id,
            price.c.unit_amount,
            price.c.compare_at_amount,
            price.c.currency,
            func.max(price.c.unit_amount).over(partition_by=product_id).label("highest"),
            func.bool_and(gone).over(partition_by=product_id).label("sold_out"),
        )
        .ext(distinct_on(product_sku.c.product_id))
        .select_from(shelf)
        .join(product_sku, product_sku.c.product_id == shelf.c.id)
        .outerjoin(sku_inventory, sku_inventory.c.sku_id == product_sku.c.sku_id)
        .join(price, true())
        .order_by(product_sku.c.product_id, price.c.unit_amount, product_sku.c.position)
        .subquery("offer")
    )


def _shots_on(shelf: FromClause) -> FromClause:
    return (
        select(product_image.c.product_id, file_name.label("file_name"), product_image.c.alt)
        .ext(distinct_on(product_image.c.product_id))
        .select_from(shelf)
        .join(product_image, product_image.c.product_id == shelf.c.id)
        .join(picture, picture.c.id == product_image.c.picture_id)
        .order_by(product_image.c.product_id, product_image.c.position)
        .subquery("shot")
    )


def _page(chosen: Select[Any]) -> Select[Any]:
    return chosen.limit(literal_column(str(PAGE_SIZE))).offset(_hidden("skip", BigInteger()))


def _count(chosen: Select[Any]) -> ScalarSelect[int]:
    return select(func.count()).select_from(chosen.order_by(None).subquery()).scalar_subquery()


# The ids are chosen from the index alone, so that page 2000 doesn't read 48,000 products.
_everything = (
    select(product.c.id, product.c.position.label("rank"))
    .where(published)
    .order_by(product.c.position, product.c.id)
)
tags_wanted = as_type(bindparam("tags", type_=ARRAY(TEXT)), ARRAY(TEXT))
_collected = (
    select(product.c.id, collection_product.c.position.label("rank"))
    .join(collection_product, collection_product.c.product_id == product.c.id)
    .where(published, collection_product.c.collection_id == bindparam("collection_id"))
    .order_by(collection_product.c.position, product.c.id)
)
_tagged = _everything.where(product.c.tags.contains(tags_wanted))

FEATURED = _cards(_everything.limit(literal_column(str(FEATURED_SIZE))))
SHELF = _cards(_page(_everything), _count(_everything))
COLLECTION_SHELF = _cards(_page(_collected), _count(_collected))
TAG_SHELF = _cards(_page(_tagged), _count(_tagged))
SHELF_TOTAL = select(_count(_everything))
COLLECTION_TOTAL = select(_count(_collected))
TAG_TOTAL = select(_count(_tagged))


def _card(row: Any) -> ProductCard:
    slug, title, vendor, amount, compare_at, currency, name, alt, sold_out, from_price = row[:10]
    return ProductCard(
        slug,
        title,
        vendor,
        amount,
        compare_at,
        currency or "",
        PICTURES_PATH + name if name else None,
        alt or "",
        sold_out,
        from_price,
        product_url(slug),
    )


def _shelf(page: Select[Any], total: Select[Any], number: int, **values: object) -> Shelf:
    rows = _rows(page, now=clock.now(), skip=(number - 1) * PAGE_SIZE, **values)
    # Past the last page there is no row to carry the total.
    count = rows[0][10] if rows else _rows(total, **values)[0][0]
    return Shelf([_card(row) for row in rows], count)


def list_featured() -> list[ProductCard]:
    """Return the first products of the shelf. One statement."""
    return [_card(row) for row in _rows(FEATURED, now=clock.now())]


def list_shelf(number: int) -> Shelf:
    """Return page ``number`` (from 1) of all published products. One statement."""
    return _shelf(SHELF, SHELF_TOTAL, number)


def list_tagged(tag: str, number: int) -> Shelf:
    """Return page ``number`` of the published products that carry exactly ``tag``."""
    return _shelf(TAG_SHELF, TAG_TOTAL, number, tags=[tag])


def list_collected(collection_id: int, number: int) -> Shelf:
    """Return page ``number`` of a collection, in the collection's own order."""
    return _shelf(COLLECTION_SHELF, COLLECTION_TOTAL, number, collection_id=collection_id)


_members: Select[Any] = (
    select(literal_column("1"))
    .select_from(collection_product)
    .join(product, and_(product.c.id == collection_product.c.product_id, published))
    .where(collection_product.c.collection_id == collection.c.id)
)
_members_counted = lateral(
    select(func.count().label("count")).select_from(
        _members.limit(literal_column(str(COUNTED))).correlate(collection).subquery()
    ),
    name="members",
)
COLLECTION_LINKS = (
    select(collection.c.slug, collection.c.title, _members_counted.c.count)
    .select_from(collection)
    .join(_members_counted, _members_counted.c.count > 0)
    .order_by(collection.c.position, collection.c.title)
    .limit(literal_column(str(LINKED_COLLECTIONS)))
)
COLLECTION = select(
    collection.c.id, collection.c.slug, collection.c.title, collection.c.description
).where(collection.c.slug == bindparam("slug"))


def list_collections() -> list[CollectionLink]:
    """Return the first collections that have something to show. One statement."""
    return [
        CollectionLink(slug, title, f"{count}+" if count == COUNTED else str(count))
        for slug, title, count in _rows(COLLECTION_LINKS)
    ]


def find_collection(slug: str) -> CollectionFace | None:
    rows = _rows(COLLECTION, slug=slug)
    return CollectionFace(*rows[0]) if rows else None


def _gathered(*columns: ColumnElement[Any], order: ColumnElement[Any]) -> Function[Any]:
    return func.json_agg(aggregate_order_by(func.json_build_array(*columns), order))


_shots = (
    select(_gathered(file_name, product_image.c.alt, order=product_image.c.position))
    .join(picture, picture.c.id == product_image.c.picture_id)
    .where(product_image.c.product_id == product.c.id)
    .scalar_subquery()
)
_videos = (
    select(_gathered(product_video.c.url, product_video.c.title, order=product_video.c.position))
    .where(product_video.c.product_id == product.c.id)
    .scalar_subquery()
)
_options = (
    select(_gathered(product_option.c.name, order=product_option.c.position))
    .where(product_option.c.product_id == product.c.id)
    .scalar_subquery()
)
_first_collection = (
    select(func.json_build_array(collection.c.slug, collection.c.title))
    .join(collection_product, collection_product.c.collection_id == collection.c.id)
    .where(collection_product.c.product_id == product.c.id)
    .order_by(collection.c.position, collection.c.title)
    .limit(ONE)
    .scalar_subquery()
)
PRODUCT = select(
    product.c.id,
    product.c.slug,
    product.c.title,
    product.c.body_html,
    product.c.vendor,
    product.c.product_type,
    product.c.tags,
    product.c.seo_title,
    product.c.seo_description,
    _first_collection,
    _options,
    _shots,
    _videos,
).where(product.c.slug == bindparam("slug"), published)

_own_picture = (
    select(picture.c.file_name)
    .join(sku_image, sku_image.c.picture_id == picture.c.id)
    .where(sku_image.c.sku_id == product_sku.c.sku_id, fetched)
    .scalar_subquery()
)
VARIANTS = (
    select(
        product_sku.c.sku_id,
        sku.c.code,
        product_sku.c.option1,
        product_sku.c.option2,
        product_sku.c.option3,
        price.c.unit_amount,
        price.c.compare_at_amount,
        price.c.currency,
        available,
        _own_picture,
    )
    .select_from(product_sku)
    .join(sku, sku.c.id == product_sku.c.sku_id)
    .outerjoin(sku_inventory, sku_inventory.c.sku_id == product_sku.c.sku_id)
    .join(price, true())
    .where(product_sku.c.product_id == bindparam("product_id"))
    .order_by(product_sku.c.position, product_sku.c.id)
)
NEW_ADDRESS = (
    select(product.c.slug)
    .join(slug_redirect, slug_redirect.c.product_id == product.c.id)
    .where(slug_redirect.c.slug == bindparam("slug"), published)
)


def find_product(slug: str) -> ProductDetail | None:
    """Return the published product at ``slug``, or None. Two statements."""
    rows = _rows(PRODUCT, slug=slug)
    if not rows:
        return None
    product_id, slug, title, body_html, vendor, product_type, tags, seo_title, seo_text = rows[0][
        :9
    ]
    collected, options, shots, videos = rows[0][9:]
    names = [name for (name,) in options or ()]
    variants = [_variant(row) for row in _rows(VARIANTS, product_id=product_id, now=clock.now())]
    return ProductDetail(
        slug=slug,
        title=title,
        body_html=body_html,
        vendor=vendor,
        product_type=product_type,
        tags=tags,
        seo_title=seo_title,
        seo_description=seo_text,
        collection=tuple(collected) if collected else None,
        options=_chosen_from(names, variants),
        pictures=[Shot(_picture_url(name), alt) for name, alt in shots or ()],
        videos=[Video(url, title) for url, title in videos or ()],
        variants=variants,
    )


def find_new_address(slug: str) -> str | None:
    """Return the slug of the published product that was once found at ``slug``."""
    rows = _rows(NEW_ADDRESS, slug=slug)
    return rows[0][0] if rows else None


def _variant(row: Any) -> Variant:
    sku_id, code, *options = row[:5]
    amount, compare_at, currency, left, name = row[5:]
    return Variant(
        sku_id,
        code,
        options_text(options),
        tuple(value for value in options if value and value != DEFAULT_TITLE),
        amount,
        compare_at,
        currency,
        left,
        left is not None and left <= 0,
        _picture_url(name),
    )


def _chosen_from(names: list[str], variants: list[Variant]) -> list[Option]:
    # The values in the order in which the variants first use them, as Shopify shows them.
    columns = zip_longest(*(variant.option_values for variant in variants))
    return [
        Option(name, list(dict.fromkeys(value for value in values if value)))
        for name, values in zip(names, columns, strict=False)
    ]


_own_or_first_picture = func.coalesce(
    _own_picture,
    select(picture.c.file_name)
    .join(product_image, product_image.c.picture_id == picture.c.id)
    .where(product_image.c.product_id == product.c.id, fetched)
    .order_by(product_image.c.position)
    .limit(ONE)
    .scalar_subquery(),
)
OFFERS = (
    select(
        product_sku.c.sku_id,
        product.c.id,
        product.c.slug,
        product.c.title,
        product_sku.c.option1,
        product_sku.c.option2,
        product_sku.c.option3,
        sku.c.code,
        sku.c.kind,
        price.c.unit_amount,
        price.c.compare_at_amount,
        price.c.currency,
        sku.c.weight_grams,
        sku.c.taxable,
        available,
        published,
        _own_or_first_picture,
    )
    .select_from(product_sku)
    .join(product, product.c.id == product_sku.c.product_id)
    .join(sku, sku.c.id == product_sku.c.sku_id)
    .outerjoin(sku_inventory, sku_inventory.c.sku_id == product_sku.c.sku_id)
    .outerjoin(price, true())
    .where(product_sku.c.sku_id == any_(bindparam("sku_ids", type_=ARRAY(BigInteger))))
    # Of the products that share a sku, the one that is for sale speaks last.
    .order_by(published, product.c.id.desc())
)


def list_offers(sku_ids: Ids[int]) -> dict[int, Offer]:
    """Return what each sku costs and whether it is there, by sku id. One statement.

    A sku that belongs to no product is left out; one without a price in force is not ``published``.
    """
    if not sku_ids:
        return {}
    rows = _rows(OFFERS, sku_ids=sorted(sku_ids), now=clock.now())
    return {row[0]: _offer(row) for row in rows}


def _offer(row: Any) -> Offer:
    sku_id, product_id, slug, title, *options = row[:7]
    code, kind, amount, compare_at, currency, weight, taxable, left, on_shelf, name = row[7:]
    return Offer(
        sku_id,
        product_id,
        slug,
        title,
        options_text(options),
        code,
        str(kind),
        amount or 0,
        compare_at,
        currency or "",
        weight,
        taxable,
        left,
        on_shelf and amount is not None,
        _picture_url(name),
    )


NEWEST_PRODUCT = select(func.coalesce(func.max(product.c.id), literal_column("0")))
SITEMAP = (
    select(product.c.slug, product.c.updated_at)
    .where(published, product.c.id > bindparam("after"), product.c.id <= bindparam("until"))
    .order_by(product.c.id)
)
COLLECTION_SLUGS = select(collection.c.slug).order_by(collection.c.id)


def count_sitemap_blocks() -> int:
    """Return how many blocks of 25,000 product ids there are; a sitemap may list 50,000."""
    newest: int = _rows(NEWEST_PRODUCT)[0][0]
    return -(-newest // SITEMAP_BLOCK)


def list_sitemap_block(number: int) -> list[SitemapEntry]:
    """Return the published products of block ``number`` (from 1)."""
    rows = _rows(SITEMAP, after=(number - 1) * SITEMAP_BLOCK, until=number * SITEMAP_BLOCK)
    return [SitemapEntry(product_url(slug), at) for slug, at in rows]


def list_collection_paths() -> list[str]:
    return [f"/collections/{quote(slug)}" for (slug,) in _rows(COLLECTION_SLUGS)]
