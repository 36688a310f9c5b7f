"""What a sku costs and whether it is there, for carts and checkouts."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, func, select, true

from webapp.catalog.queries.parts import (
    ONE,
    available,
    fetched,
    options_text,
    own_picture,
    picture,
    picture_url,
    price,
    product,
    product_image,
    product_sku,
    published,
    rows,
    sku,
    sku_inventory,
)
from webapp.core import clock


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


_own_or_first_picture = func.coalesce(
    own_picture,
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


def list_offers(sku_ids: Collection[int]) -> dict[int, Offer]:
    """Return what each sku costs and whether it is there, by sku id. One statement.

    A sku that belongs to no product is left out; one without a price in force is not ``published``.
    """
    if not sku_ids:
        return {}
    found = rows(OFFERS, sku_ids=sorted(sku_ids), now=clock.now())
    return {row[0]: _offer(row) for row in found}


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
        picture_url(name),
    )
