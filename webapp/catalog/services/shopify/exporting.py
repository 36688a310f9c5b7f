"""The catalogue as the CSV that Shopify writes, a few hundred products in memory at a time."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TextIO

from sqlalchemy import Row, func, select, text, tuple_
from sqlalchemy.orm import aliased

from webapp.catalog.models import (
    Picture,
    Product,
    ProductImage,
    ProductOption,
    ProductSku,
    ProductStatus,
    Sku,
    SkuImage,
    SkuInventory,
    SkuKind,
    SkuPrice,
)
from webapp.catalog.services.shopify.columns import (
    IMAGE_ROWS,
    KEPT_AS_WRITTEN,
    OPTION_NAMES,
    STANDARD,
    STATUS,
)
from webapp.catalog.services.shopify.rows import published_status, whole_grams
from webapp.core import clock
from webapp.core.db import db
from webapp.core.money import exponent, to_decimal_text

BATCH = 500
STATUS_WORDS = {
    ProductStatus.PUBLISHED: "active",
    ProductStatus.DRAFT: "draft",
    ProductStatus.RETIRED: "archived",
}

Cells = dict[str, str]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a batch of products consists of, by product id."""

    options: dict[int, list[str]]
    variants: dict[int, list[Row[Any]]]
    images: dict[int, list[Row[Any]]]


def export_products(stream: TextIO) -> int:
    """Write all products in their order, line ends as Shopify has them; returns how many.

    ``stream`` must not translate line ends (``newline=""``). Columns are Shopify's own, then those
    an import kept for us by name, then ``Status`` where Published alone doesn't say it all.

    Cells are written exactly as they are, so that the file imports to the same catalogue: a text
    that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a spreadsheet program. Open files
    with texts of people you don't trust in an editor, or import the columns as text.
    """
    header = _header()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(header)
    count = 0
    for products in _batches():
        parts = _load_parts([product.id for product in products])
        for product in products:
            for cells in _rows(product, parts):
                writer.writerow([cells.get(name, "") for name in header])
        count += len(products)
    return count


def _header() -> list[str]:
    kept = db.session.scalars(
        text("""
            SELECT k FROM product, jsonb_object_keys(extra) AS k
            UNION SELECT k FROM sku, jsonb_object_keys(extra) AS k
            UNION SELECT k FROM product,
                         jsonb_each(extra -> CAST(:rows AS text)) AS kept (position, cells),
                         jsonb_object_keys(kept.cells) AS k
            """),
        {"rows": IMAGE_ROWS},
    )
    names = set(kept) - {IMAGE_ROWS}
    retired = select(Product.id).where(Product.status == ProductStatus.RETIRED).limit(1)
    if db.session.scalar(retired) is not None:
        names.add(STATUS)
    last = [STATUS] if STATUS in names else []
    return [*STANDARD, *sorted(names - {*STANDARD, STATUS}), *last]


def _batches() -> Iterator[Sequence[Row[Any]]]:
    after = (-(2**62), 0)
    place = tuple_(Product.position, Product.id)
    query = select(*Product.__table__.columns).order_by(Product.position, Product.id).limit(BATCH)
    while products := db.session.execute(query.where(place > tuple_(*after))).all():
        yield products
        after = (products[-1].position, products[-1].id)


def _load_parts(ids: list[int]) -> Parts:
    options: dict[int, list[str]] = defaultdict(list)
    named = (
        select(ProductOption.product_id, ProductOption.name)
        .where(ProductOption.product_id.in_(ids))
        .order_by(ProductOption.product_id, ProductOption.position)
    )
    for product_id, name in db.session.execute(named):
        options[product_id].append(name)
    pictures = (
        select(ProductImage.product_id, ProductImage.position, ProductImage.alt, Picture.source_url)
        .join(Picture, Picture.id == ProductImage.picture_id)
        .where(ProductImage.product_id.in_(ids))
        .order_by(ProductImage.product_id, ProductImage.position)
    )
    return Parts(options, _grouped(_variant_query(ids)), _grouped(pictures))


def _grouped(query: Any) -> dict[int, list[Row[Any]]]:
    groups: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in db.session.execute(query):
        groups[row.product_id].append(row)
    return groups


def _variant_query(ids: list[int]) -> Any:
    newest = (
        select(SkuPrice)
        .where(SkuPrice.sku_id == Sku.id, SkuPrice.in_force_at <= clock.now())
        .order_by(SkuPrice.in_force_at.desc(), SkuPrice.id.desc())
        .limit(1)
        .lateral()
    )
    price = aliased(SkuPrice, newest)
    return (
        select(
            ProductSku.product_id,
            ProductSku.option1,
            ProductSku.option2,
            ProductSku.option3,
            Sku.code,
            Sku.barcode,
            Sku.kind,
            Sku.weight_grams,
            Sku.weight_unit,
            Sku.taxable,
            Sku.tax_code,
            Sku.fulfillment_service,
            Sku.extra,
            func.coalesce(SkuInventory.tracker, "").label("tracker"),
            func.coalesce(SkuInventory.tracked, False).label("tracked"),
            func.coalesce(SkuInventory.backorder, False).label("backorder"),
            func.coalesce(SkuInventory.on_hand, 0).label("on_hand"),
            price.unit_amount,
            price.compare_at_amount,
            price.currency,
            Picture.source_url,
        )
        .select_from(ProductSku)
        .join(Sku, Sku.id == ProductSku.sku_id)
        .outerjoin(SkuInventory, SkuInventory.sku_id == Sku.id)
        .outerjoin(price, text("true"))
        .outerjoin(SkuImage, SkuImage.sku_id == Sku.id)
        .outerjoin(Picture, Picture.id == SkuImage.picture_id)
        .where(ProductSku.product_id.in_(ids))
        .order_by(ProductSku.product_id, ProductSku.position, ProductSku.id)
    )


def _rows(product: Row[Any], parts: Parts) -> Iterator[Cells]:
    variants = parts.variants.get(product.id, [])
    of_image_rows: dict[str, Cells] = product.extra.get(IMAGE_ROWS, {})
    images = _arrange(parts.images.get(product.id, []), len(variants), of_image_rows)
    for place in range(max(len(variants), len(images), 1)):
        cells = {"Handle": product.slug}
        if place == 0:
            cells |= _product_cells(product, parts.options.get(product.id, []))
        if place < len(variants):
            cells |= _variant_cells(variants[place])
        image = images[place] if place < len(images) else None
        if image is not None:
            kept = of_image_rows.get(str(image.position), {})
            cells = {**kept, **cells, **_image_cells(image)}
        yield cells


def _arrange(
    images: list[Row[Any]], variants: int, of_image_rows: dict[str, Cells]
) -> list[Row[Any] | None]:
    """Place the pictures on the product's rows.

    The first ones share the rows of the variants, as Shopify has it; those that came with cells of
    their own need rows of their own.
    """
    beside = [image for image in images if str(image.position) not in of_image_rows][:variants]
    shared = {image.position for image in beside}
    alone = [image for image in images if image.position not in shared]
    padding = [None] * (variants - len(beside)) if alone else []
    return [*beside, *padding, *alone]


def _image_cells(image: Row[Any]) -> Cells:
    return {
        "Image Src": image.source_url,
        "Image Position": str(image.position),
        "Image Alt Text": image.alt,
    }


def _product_cells(product: Row[Any], options: list[str]) -> Cells:
    cells = _kept(product.extra)
    cells |= dict(zip(OPTION_NAMES, options, strict=False))
    cells |= {
        "Title": product.title,
        "Body (HTML)": product.body_html,
        "Vendor": product.vendor,
        "Type": product.product_type,
        "Tags": ", ".join(product.tags),
        "Gift Card": _boolean(product.gift_card),
        "SEO Title": product.seo_title,
        "SEO Description": product.seo_description,
    }
    return cells | _status_cells(product)


def _status_cells(product: Row[Any]) -> Cells:
    """The cells of the import while they still mean the product's status, else our own."""
    published = product.extra.get("Published")
    status = product.extra.get(STATUS)
    plain = _boolean(product.status == ProductStatus.PUBLISHED)
    written = plain if published is None else published
    if published_status(written != "false", status or "") == product.status:
        # Without a Status of its own an empty cell would be read as Shopify's "active".
        return {
            "Published": written,
            STATUS: STATUS_WORDS[product.status] if status is None else status,
        }
    return {"Published": plain, STATUS: STATUS_WORDS[product.status]}


def _variant_cells(variant: Row[Any]) -> Cells:
    cells = _kept(variant.extra)
    raw_grams = variant.extra.get("Variant Grams", "")
    exact = whole_grams(raw_grams) == variant.weight_grams if raw_grams else False
    return cells | {
        "Option1 Value": variant.option1,
        "Option2 Value": variant.option2,
        "Option3 Value": variant.option3,
        "Variant SKU": variant.code,
        "Variant Grams": raw_grams if exact else str(variant.weight_grams),
        "Variant Inventory Tracker": variant.tracker or ("shopify" if variant.tracked else ""),
        "Variant Inventory Qty": str(variant.on_hand),
        "Variant Inventory Policy": "continue" if variant.backorder else "deny",
        "Variant Fulfillment Service": variant.fulfillment_service,
        "Variant Price": _amount(variant.unit_amount, variant.currency),
        "Variant Compare At Price": _amount(variant.compare_at_amount, variant.currency),
        "Variant Requires Shipping": _boolean(variant.kind == SkuKind.PHYSICAL),
        "Variant Taxable": _boolean(variant.taxable),
        "Variant Barcode": variant.barcode,
        "Variant Image": variant.source_url or "",
        "Variant Weight Unit": variant.weight_unit,
        "Variant Tax Code": variant.tax_code,
    }


def _kept(extra: dict[str, Any]) -> Cells:
    return {
        name: cell
        for name, cell in extra.items()
        if name not in KEPT_AS_WRITTEN and name != IMAGE_ROWS
    }


def _boolean(value: bool) -> str:
    return "true" if value else "false"


@lru_cache(maxsize=4096)
def _amount(amount: int | None, currency: str) -> str:
    """``5000`` -> ``50``, ``1250`` -> ``12.50``: as Shopify's own files have it."""
    if amount is None:
        return ""
    whole, point, decimals = to_decimal_text(amount, currency).partition(".")
    return whole + point + decimals.ljust(exponent(currency), "0") if point else whole
