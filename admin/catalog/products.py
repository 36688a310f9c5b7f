"""The room of products: what is for sale, at which prices, and how many there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, ScalarSelect, func, or_, select, union
from sqlalchemy.orm import load_only, selectinload
from wtforms import Form

from admin.base import Column, Filter, Money, action
from admin.catalog.forms import CLASHES, NewProductForm, ProductForm
from admin.catalog.variants import VariantPages, option_names, prices_of, variant_text
from webapp.accounts.permissions import Permission
from webapp.catalog.models import (
    Picture,
    PictureState,
    Product,
    ProductImage,
    ProductOption,
    ProductSku,
    ProductStatus,
    Sku,
    SkuInventory,
    SkuPrice,
    SlugRedirect,
)
from webapp.catalog.queries import PICTURES_PATH, product_url
from webapp.catalog.services import products
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.shop import get_shop


def _newest_price(of: Any) -> ScalarSelect[Any]:
    return (
        select(of)
        .where(SkuPrice.sku_id == ProductSku.sku_id, SkuPrice.in_force_at <= clock.now())
        .order_by(SkuPrice.in_force_at.desc(), SkuPrice.id.desc())
        .limit(1)
        .correlate(ProductSku)
        .scalar_subquery()
    )


class Products(VariantPages):
    """What the shop sells."""

    noun = "product"
    may_create = Permission.CATALOG_EDIT
    may_edit = Permission.CATALOG_EDIT
    search_hint = "Title, vendor, address or SKU"
    clashes = CLASHES
    form = ProductForm
    columns = (
        Column("title", "Product", "text", sort=Product.title),
        Column("status", "Status", "pill", sort=Product.status),
        Column("variants", "Variants", "number"),
        Column("stock", "In stock", "number"),
        Column("price", "Price from", "money"),
        Column("vendor", "Vendor", sort=Product.vendor),
        Column("updated_at", "Changed", "moment", sort=Product.updated_at),
    )
    filters = (
        Filter(
            "status",
            "Status",
            [(status.value, status.value.capitalize()) for status in ProductStatus],
            lambda value: Product.status == ProductStatus(value),
        ),
    )
    sections = (
        ("What it is", ("title", "slug", "body_html", "vendor", "product_type", "tags")),
        ("First variant", ("price", "code", "on_hand")),
        ("Choice and order", ("options", "position")),
        ("Search engines", ("seo_title", "seo_description")),
    )
    details_template = "admin/catalog/product.html"

    # Reading

    def statement(self) -> Any:
        shown = (Product.id, Product.title, Product.status, Product.vendor, Product.updated_at)
        return select(Product).options(load_only(*shown, raiseload=True))

    def search(self, text: str) -> ColumnElement[bool]:
        by_code = (
            select(ProductSku.product_id)
            .join(Sku, Sku.id == ProductSku.sku_id)
            .where(Sku.code == text)
        )
        words = or_(
            Product.title.icontains(text, autoescape=True),
            Product.vendor.icontains(text, autoescape=True),
            Product.slug == text.lower(),
        )
        return Product.id.in_(union(select(Product.id).where(words), by_code))

    def gather(self, rows: Sequence[Product]) -> Mapping[Any, Mapping[str, Any]]:
        left = SkuInventory.on_hand - SkuInventory.reserved
        found = db.session.execute(
            select(
                ProductSku.product_id,
                func.count(),
                func.sum(left).filter(SkuInventory.tracked),
                func.min(_newest_price(SkuPrice.unit_amount)),
            )
            .outerjoin(SkuInventory, SkuInventory.sku_id == ProductSku.sku_id)
            .where(ProductSku.product_id.in_([product.id for product in rows]))
            .group_by(ProductSku.product_id)
        )
        currency = get_shop().currency
        known = {
            product_id: {
                "variants": count,
                "stock": "not counted" if stock is None else int(stock),
                "price": None if price is None else Money(price, currency),
            }
            for product_id, count, stock, price in found
        }
        nothing = {"variants": 0, "stock": 0, "price": None}
        return {product.id: known.get(product.id, nothing) for product in rows}

    def load(self, key: Any) -> Product | None:
        variants = selectinload(Product.variants).joinedload(ProductSku.sku)
        return db.session.scalar(
            select(Product)
            .where(Product.id == key)
            .options(
                selectinload(Product.options),
                variants.joinedload(Sku.inventory),
                selectinload(Product.images).joinedload(ProductImage.picture),
            )
            .execution_options(populate_existing=True)
        )

    def title_of(self, row: Product) -> str:
        return row.title

    def detail(self, row: Product) -> dict[str, Any]:
        redirects = select(SlugRedirect.slug).where(SlugRedirect.product_id == row.id).limit(20)
        return {
            "prices": prices_of([variant.sku_id for variant in row.variants]),
            "currency": get_shop().currency,
            "old_slugs": db.session.scalars(redirects).all(),
            "options_text": variant_text,
            "option_names": option_names(row),
            "pictures": [_shot(image.picture, image.alt) for image in row.images[:12]],
            "shop_url": product_url(row.slug) if row.status is ProductStatus.PUBLISHED else None,
        }

    # Writing

    def get_create_form(self) -> type[Form]:
        return NewProductForm

    def edit_form(self, obj: Product) -> Form:
        form = ProductForm(request.form or None, obj=obj)
        if not request.form:
            form.options.data = option_names(obj)
        return form

    def save(self, form: Any, row: Product | None) -> Product:
        product = _make(form) if row is None else row
        for name in ("title", "body_html", "vendor", "product_type", "tags"):
            setattr(product, name, form[name].data)
        for name in ("seo_title", "seo_description"):
            setattr(product, name, form[name].data)
        if form.position.data is not None:
            product.position = form.position.data
        if row is not None and form.slug.data:
            products.rename_slug(product, form.slug.data.lower())
        _name_options(product, form.options.data)
        db.session.flush()
        return product

    @action(
        "Publish",
        permission=Permission.CATALOG_EDIT,
        verb="published",
        tone="primary",
        bulk=True,
        when=lambda product: product.status != ProductStatus.PUBLISHED,
    )
    def publish(self, row: Product) -> str:
        products.publish(row)
        return f"{row.title} is in the shop."

    @action(
        "Back to draft",
        permission=Permission.CATALOG_EDIT,
        verb="withdrawn",
        bulk=True,
        when=lambda product: product.status != ProductStatus.DRAFT,
    )
    def withdraw(self, row: Product) -> str:
        products.unpublish(row)
        return f"{row.title} is a draft and no longer in the shop."

    @action(
        "Retire",
        permission=Permission.CATALOG_EDIT,
        verb="retired",
        tone="danger",
        bulk=True,
        when=lambda product: product.status != ProductStatus.RETIRED,
    )
    def retire(self, row: Product) -> str:
        products.retire(row)
        return f"{row.title} is retired."


def _shot(picture: Picture, alt: str) -> tuple[str | None, str]:
    there = picture.state is PictureState.FETCHED and picture.file_name
    return (f"{PICTURES_PATH}{picture.file_name}" if there else None), alt


def _make(form: Any) -> Product:
    """Make the draft with its one variant; naming options comes after."""
    variant = products.NewVariant(
        form.price.data, code=form.code.data or "", on_hand=form.on_hand.data or 0
    )
    slug = (form.slug.data or "").lower()
    new = products.NewProduct(form.title.data, (variant,), slug=slug)
    return products.create_product(new, get_shop().currency)


def _name_options(product: Product, wanted: Sequence[str]) -> None:
    names = list(wanted) or [products.DEFAULT_OPTION]
    if len(names) > products.MAX_OPTIONS:
        raise DomainError(f"A product has {products.MAX_OPTIONS} options at most.")
    for position in range(len(names) + 1, products.MAX_OPTIONS + 1):
        values = {getattr(variant, f"option{position}") for variant in product.variants}
        if len(values - {""}) > 0:
            raise DomainError("An option can't go while variants have a value for it.")
    if not wanted and len(product.variants) > 1:
        raise DomainError("Several variants need at least one option to tell them apart.")
    there = {option.position: option for option in product.options}
    for position, name in enumerate(names, start=1):
        if position in there:
            there[position].name = name
        else:
            product.options.append(ProductOption(position=position, name=name))
    for position, option in there.items():
        if position > len(names):
            product.options.remove(option)
