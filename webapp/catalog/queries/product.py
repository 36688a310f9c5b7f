"""One product with all it takes to show and sell it."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from sqlalchemy import Function, Text, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql.expression import ColumnElement

from webapp.catalog.queries.parts import (
    DEFAULT_TITLE,
    ONE,
    available,
    collection,
    collection_product,
    file_name,
    hidden,
    options_text,
    own_picture,
    picture,
    picture_url,
    price,
    product,
    product_image,
    product_option,
    product_sku,
    product_url,
    product_video,
    published,
    rows,
    sku,
    sku_inventory,
    slug_redirect,
)


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
    """A published product. ``body_html`` is as imported: clean it before it is shown.

    ``collection`` is slug and title of the first one it is in.
    """

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
    product.c.slug,
    product.c.title,
    product.c.body_html,
    product.c.vendor,
    product.c.product_type,
    product.c.tags,
    product.c.seo_title,
    product.c.seo_description,
    _first_collection.label("collection"),
    _options.label("options"),
    _shots.label("shots"),
    _videos.label("videos"),
).where(product.c.slug == hidden("slug", Text()), published)

_product_id = (
    select(product.c.id)
    .where(product.c.slug == hidden("slug", Text()), published)
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
        available.label("available"),
        own_picture.label("own_picture"),
    )
    .select_from(product_sku)
    .join(sku, sku.c.id == product_sku.c.sku_id)
    .outerjoin(sku_inventory, sku_inventory.c.sku_id == product_sku.c.sku_id)
    .join(price, true())
    .where(product_sku.c.product_id == _product_id)
    .order_by(product_sku.c.position, product_sku.c.id)
)
NEW_ADDRESS = (
    select(product.c.slug)
    .join(slug_redirect, slug_redirect.c.product_id == product.c.id)
    .where(slug_redirect.c.slug == bindparam("slug"), published)
)


def find_new_address(slug: str) -> str | None:
    """Return the slug of the published product that was once found at ``slug``."""
    found = rows(NEW_ADDRESS, slug=slug)
    return found[0][0] if found else None


def read_product(row: Any, variant_rows: list[Any]) -> ProductDetail:
    """Return the product in a row of PRODUCT and the rows of VARIANTS."""
    slug, title, body_html, vendor, product_type, tags, seo_title, seo_description = row[:8]
    collected, options, shots, videos = row[8:]
    names = [name for (name,) in options or ()]
    variants = [_variant(each) for each in variant_rows]
    return ProductDetail(
        slug=slug,
        title=title,
        body_html=body_html,
        vendor=vendor,
        product_type=product_type,
        tags=tags,
        seo_title=seo_title,
        seo_description=seo_description,
        collection=(collected[0], collected[1]) if collected else None,
        options=_choices(names, variants),
        pictures=[Shot(picture_url(name), alt) for name, alt in shots or ()],
        videos=[Video(url, name) for url, name in videos or ()],
        variants=variants,
    )


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
        picture_url(name),
    )


def _choices(names: list[str], variants: list[Variant]) -> list[Option]:
    # The values in the order in which the variants first use them, as Shopify shows them.
    columns = zip_longest(*(variant.option_values for variant in variants))
    return [
        Option(name, list(dict.fromkeys(value for value in values if value)))
        for name, values in zip(names, columns, strict=False)
    ]
