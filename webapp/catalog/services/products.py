"""What a shopkeeper does to one product: make it, price it, rename it, show it, count it."""

import logging
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import nh3
from markupsafe import Markup
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from webapp.catalog.errors import (
    CodeTaken,
    InvalidProduct,
    NoSuchProduct,
    NoSuchSku,
    NotForSale,
    SlugTaken,
    StockPromised,
)
from webapp.catalog.models import (
    Product,
    ProductOption,
    ProductSku,
    ProductStatus,
    Sku,
    SkuInventory,
    SkuKind,
    SkuPrice,
    SlugRedirect,
)
from webapp.core import clock
from webapp.core.db import db

logger = logging.getLogger(__name__)

SLUG = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
MAX_TEXT = 255
MAX_OPTIONS = 3
DEFAULT_OPTION = "Title"
DEFAULT_VALUE = "Default Title"
# A description may come from anybody's file. Its pictures would be loaded from elsewhere, which
# the pages' content security policy forbids.
TAGS = frozenset(nh3.ALLOWED_TAGS - {"img", "map", "area"})


@dataclass(frozen=True, slots=True)
class NewVariant:
    """One variant to be made; ``options`` holds a value for each of the product's options."""

    unit_amount: int
    options: tuple[str, ...] = ()
    compare_at_amount: int | None = None
    code: str = ""
    kind: SkuKind = SkuKind.PHYSICAL
    weight_grams: int = 0
    taxable: bool = True
    tracked: bool = True
    backorder: bool = False
    on_hand: int = 0


@dataclass(frozen=True, slots=True)
class NewProduct:
    """One product to be made; without ``slug`` its address follows from the title."""

    title: str
    variants: tuple[NewVariant, ...]
    option_names: tuple[str, ...] = ()
    slug: str = ""
    body_html: str = ""
    vendor: str = ""
    product_type: str = ""
    tags: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def clean_html(html: str) -> Markup:
    """Return a description as it may stand in a page: no scripts, styles, forms or pictures.

    What is stored stays as it was given, so that an export gives it back.
    """
    return Markup(nh3.clean(html, tags=set(TAGS)))  # noqa: S704 - nh3 is what makes it safe


def slugify(title: str) -> str:
    """Return an address for ``title``: ``Crème brûlée, 2 pieces`` -> ``creme-brulee-2-pieces``."""
    plain = unicodedata.normalize("NFKD", title)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = re.findall(r"[^\W_]+", plain.lower())
    return "-".join(words)[:MAX_TEXT].strip("-") or "product"


def get_product(product_id: int) -> Product:
    """Return the product. Raises NoSuchProduct."""
    product = db.session.get(Product, product_id)
    if product is None:
        raise NoSuchProduct(f"There is no product {product_id}.")
    return product


def create_product(new: NewProduct, currency: str) -> Product:
    """Make a draft with its options, variants, prices in ``currency`` and stock; flush.

    Raises InvalidProduct, SlugTaken or CodeTaken.
    """
    _check_new(new)
    option_names = new.option_names or (DEFAULT_OPTION,)
    slug = _free_slug(new)
    last = db.session.scalar(select(func.max(Product.position)))
    product = Product(
        slug=slug,
        title=new.title,
        body_html=new.body_html,
        vendor=new.vendor,
        product_type=new.product_type,
        tags=list(new.tags),
        position=(last or 0) + 1,
        options=[
            ProductOption(position=place, name=name)
            for place, name in enumerate(option_names, start=1)
        ],
    )
    for place, variant in enumerate(new.variants, start=1):
        product.variants.append(_new_variant(variant, place, currency))
    db.session.add(product)
    db.session.flush()
    return product


def _check_new(new: NewProduct) -> None:
    if not new.title.strip() or len(new.title) > MAX_TEXT:
        raise InvalidProduct(f"A product needs a title of at most {MAX_TEXT} characters.")
    if not new.variants:
        raise InvalidProduct("A product needs at least one variant.")
    names = new.option_names
    if len(names) > MAX_OPTIONS or len(set(names)) < len(names) or not all(names):
        raise InvalidProduct("A product has up to three options, each with a name of its own.")
    seen: set[tuple[str, ...]] = set()
    for variant in new.variants:
        _check_variant(variant, names)
        if variant.options in seen:
            raise InvalidProduct(f"The variant “{' / '.join(variant.options)}” is there twice.")
        seen.add(variant.options)
    codes = [variant.code for variant in new.variants if variant.code]
    if len(set(codes)) < len(codes):
        raise InvalidProduct("Two variants have the same SKU.")
    taken = db.session.scalar(select(Sku.code).where(Sku.code.in_(codes)).limit(1))
    if taken:
        raise CodeTaken(taken)


def _check_variant(variant: NewVariant, option_names: tuple[str, ...]) -> None:
    if len(variant.options) != len(option_names) or not all(variant.options):
        raise InvalidProduct(
            "Each variant needs one value for each option: " + (", ".join(option_names) or "none")
        )
    if variant.unit_amount < 0 or (variant.compare_at_amount or 0) < 0:
        raise InvalidProduct("A price can't be less than nothing.")
    if variant.weight_grams < 0:
        raise InvalidProduct("A weight can't be less than nothing.")
    if variant.tracked and not variant.backorder and variant.on_hand < 0:
        raise InvalidProduct("There can't be less than no pieces unless backorders are taken.")


def _new_variant(variant: NewVariant, position: int, currency: str) -> ProductSku:
    sku = Sku(
        code=variant.code,
        kind=variant.kind,
        weight_grams=variant.weight_grams,
        taxable=variant.taxable,
        prices=[
            SkuPrice(
                unit_amount=variant.unit_amount,
                compare_at_amount=variant.compare_at_amount,
                currency=currency,
            )
        ],
        inventory=SkuInventory(
            tracked=variant.tracked,
            backorder=variant.backorder,
            on_hand=variant.on_hand,
            tracker="shopify" if variant.tracked else "",
        ),
    )
    values = [*(variant.options or (DEFAULT_VALUE,)), "", ""]
    return ProductSku(
        sku=sku, position=position, option1=values[0], option2=values[1], option3=values[2]
    )


def _free_slug(new: NewProduct) -> str:
    if new.slug:
        _take_slug(new.slug)
        return new.slug
    wanted = slugify(new.title)
    slug, number = wanted, 1
    while _slug_exists(slug):
        number += 1
        slug = f"{wanted[: MAX_TEXT - 6]}-{number}"
    return slug


def _slug_exists(slug: str) -> bool:
    """Whether a product has the address, or had it: an old link must not show something else."""
    of_product = select(Product.id).where(Product.slug == slug)
    before = select(SlugRedirect.product_id).where(SlugRedirect.slug == slug)
    return db.session.scalar(of_product.union_all(before).limit(1)) is not None


def _take_slug(slug: str) -> None:
    """Free ``slug`` of a redirect, as a product wants it. Raises InvalidProduct or SlugTaken."""
    if len(slug) > MAX_TEXT or not SLUG.fullmatch(slug):
        raise InvalidProduct(f"“{slug}” can't be an address: use letters, digits and hyphens.")
    if db.session.scalar(select(Product.id).where(Product.slug == slug)) is not None:
        raise SlugTaken(slug)
    db.session.execute(delete(SlugRedirect).where(SlugRedirect.slug == slug))


def rename_slug(product: Product, slug: str) -> None:
    """Give the product another address; the old one redirects to it from now on.

    Redirects name the product rather than an address, so that they never form a chain.
    Raises InvalidProduct or SlugTaken.
    """
    old = product.slug
    if slug == old:
        return
    _take_slug(slug)
    product.slug = slug
    db.session.flush()
    statement = insert(SlugRedirect).values(slug=old, product_id=product.id, created_at=clock.now())
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["slug"], set_={"product_id": statement.excluded.product_id}
        )
    )


def set_price(
    sku_id: int, unit_amount: int, compare_at_amount: int | None, currency: str
) -> SkuPrice:
    """Return the price in force, appended to the sku's history if it differs from the one before.

    Amounts are in minor units of ``currency``. Raises NoSuchSku or InvalidProduct.
    """
    if unit_amount < 0 or (compare_at_amount or 0) < 0:
        raise InvalidProduct("A price can't be less than nothing.")
    # If two people change it at once, the second compares with what the first has set.
    if db.session.scalar(select(Sku.id).where(Sku.id == sku_id).with_for_update()) is None:
        raise NoSuchSku(f"There is no sku {sku_id}.")
    newest = db.session.scalar(
        select(SkuPrice)
        .where(SkuPrice.sku_id == sku_id, SkuPrice.in_force_at <= clock.now())
        .order_by(SkuPrice.in_force_at.desc(), SkuPrice.id.desc())
        .limit(1)
    )
    wanted = (unit_amount, compare_at_amount, currency)
    if newest and (newest.unit_amount, newest.compare_at_amount, newest.currency) == wanted:
        return newest
    price = SkuPrice(
        sku_id=sku_id,
        unit_amount=unit_amount,
        compare_at_amount=compare_at_amount,
        currency=currency,
    )
    db.session.add(price)
    db.session.flush()
    return price


def publish(product: Product) -> None:
    """Put the product on the shelf. Raises NotForSale if none of its variants has a price."""
    priced = (
        select(SkuPrice.id)
        .join(ProductSku, ProductSku.sku_id == SkuPrice.sku_id)
        .where(ProductSku.product_id == product.id, SkuPrice.in_force_at <= clock.now())
        .limit(1)
    )
    if db.session.scalar(priced) is None:
        raise NotForSale(f"“{product.title}” has no price yet. Set one, then publish it.")
    product.status = ProductStatus.PUBLISHED
    db.session.flush()


def unpublish(product: Product) -> None:
    """Take the product off the shelf to work on it."""
    product.status = ProductStatus.DRAFT
    db.session.flush()


def retire(product: Product) -> None:
    """Take the product off the shelf for good; orders and links still know it."""
    product.status = ProductStatus.RETIRED
    db.session.flush()


def adjust_stock(sku_id: int, on_hand: int, actor: str) -> SkuInventory:
    """Set how many pieces there are, as counted by ``actor``.

    Raises NoSuchSku, InvalidProduct for less than nothing, or StockPromised when buyers who are
    paying now have been promised more.
    """
    # A checkout that reserves at this moment goes first or waits: either way its pieces count.
    inventory = db.session.scalar(
        select(SkuInventory)
        .where(SkuInventory.sku_id == sku_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if inventory is None:
        raise NoSuchSku(f"There is no sku {sku_id} with stock.")
    limited = inventory.tracked and not inventory.backorder
    if limited and on_hand < 0:
        raise InvalidProduct("There can't be less than no pieces unless backorders are taken.")
    if limited and on_hand < inventory.reserved:
        raise StockPromised(
            f"{inventory.reserved} pieces are promised to buyers who are paying now, so there "
            f"can't be only {on_hand}. Try again when their checkouts are over."
        )
    before, inventory.on_hand = inventory.on_hand, on_hand
    db.session.flush()
    logger.info(
        "stock adjusted",
        extra={"sku_id": sku_id, "before": before, "after": on_hand, "actor": actor},
    )
    return inventory
