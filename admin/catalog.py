"""The room of products: what is for sale, at which prices, and how many there are."""

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from flask import flash, redirect, request
from flask_login import current_user
from sqlalchemy import ColumnElement, ScalarSelect, func, or_, select, union
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import joinedload, load_only, selectinload
from werkzeug import Response
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.utils import secure_filename
from wtforms import (
    BooleanField,
    FileField,
    Form,
    HiddenField,
    IntegerField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from admin.base import Column, Filter, Money, Room, action, note, page
from admin.fields import MoneyField, WordsField, one_line
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
    SkuKind,
    SkuPrice,
    SlugRedirect,
)
from webapp.catalog.queries import DEFAULT_TITLE, PICTURES_PATH, options_text, product_url
from webapp.catalog.services import products
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import DomainError, NotFound
from webapp.core.shop import get_shop
from webapp.core.state import current_fork

SLUG = Regexp(r"^[^\s/?#%\\]+$", message="No blanks and none of / ? # % \\.")
CLASHES = {
    "uq_product_slug": "Another product has that address.",
    "uq_sku_code": "Another variant has that SKU.",
    "uq_product_sku_options": "There is already a variant with these options.",
    "ck_sku_inventory_not_oversold": "More pieces than that are promised to buyers already.",
    "ck_sku_inventory_on_hand": "There can't be fewer than none, unless it may be back-ordered.",
}


class ProductForm(Form):
    title = StringField(
        "Title", [InputRequired("A product needs a title."), Length(max=255), one_line]
    )
    slug = StringField(
        "Address",
        [Optional(), Length(max=255), SLUG],
        description="The last part of its link. The old one goes on working.",
    )
    body_html = TextAreaField("Description", [Length(max=100_000)], render_kw={"rows": 10})
    vendor = StringField("Vendor", [Length(max=255), one_line])
    product_type = StringField("Type", [Length(max=255), one_line])
    tags = WordsField("Tags", description="With commas between them.")
    options = WordsField(
        "Options", description="What buyers choose, like Size, Colour; up to three."
    )
    position = IntegerField("Position on the shelf", [Optional(), NumberRange(0, 10**9)])
    seo_title = StringField("Title for search engines", [Length(max=255), one_line])
    seo_description = TextAreaField(
        "Description for search engines", [Length(max=1000)], render_kw={"rows": 2}
    )


class NewProductForm(ProductForm):
    """A new product is made with its first variant."""

    price = MoneyField("Price", [InputRequired("Type the price.")])
    code = StringField("SKU", [Length(max=255), one_line])
    on_hand = IntegerField("On hand", [Optional(), NumberRange(0, 10**9)], default=0)


class VariantForm(Form):
    option1 = StringField(validators=[Length(max=255), one_line])
    option2 = StringField(validators=[Length(max=255), one_line])
    option3 = StringField(validators=[Length(max=255), one_line])
    code = StringField("SKU", [Length(max=255), one_line])
    barcode = StringField("Barcode", [Length(max=255), one_line])
    price = MoneyField("Price", [InputRequired("Type the price.")])
    compare_at = MoneyField(
        "Compare-at price", [Optional()], description="Shown struck through beside the price."
    )
    tracked = BooleanField("Count the stock", default=True)
    backorder = BooleanField("Go on selling when it is gone")
    on_hand = IntegerField("On hand", [Optional(), NumberRange(-(10**9), 10**9)], default=0)
    seen_on_hand = HiddenField(default="0")
    kind = SelectField(
        "Kind",
        [InputRequired()],
        choices=[SelectChoice(kind.value, kind.value.capitalize()) for kind in SkuKind],
    )
    weight_grams = IntegerField("Weight, g", [Optional(), NumberRange(0, 10**9)], default=0)
    taxable = BooleanField("Taxed", default=True)
    download = FileField("File for buyers", description="For a digital kind; 15 MB at most.")


VARIANT_SECTIONS = (
    ("Options", ("option1", "option2", "option3")),
    ("Price", ("price", "compare_at")),
    ("Stock", ("on_hand", "tracked", "backorder")),
    ("Identity", ("code", "barcode", "kind", "weight_grams", "taxable")),
    ("Digital", ("download",)),
)


def _newest_price(of: Any) -> ScalarSelect[Any]:
    return (
        select(of)
        .where(SkuPrice.sku_id == ProductSku.sku_id, SkuPrice.in_force_at <= clock.now())
        .order_by(SkuPrice.in_force_at.desc(), SkuPrice.id.desc())
        .limit(1)
        .correlate(ProductSku)
        .scalar_subquery()
    )


class Products(Room):
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
            "prices": _prices([variant.sku_id for variant in row.variants]),
            "currency": get_shop().currency,
            "old_slugs": db.session.scalars(redirects).all(),
            "options_text": _options_text,
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

    @page("/variant/", write=Permission.CATALOG_EDIT)
    def variant(self) -> Response | tuple[str, int]:
        """One variant with its form and the history of its prices."""
        variant = self._variant(request.args.get("id", ""))
        posted = request.method == "POST"
        form = VariantForm(_posted() if posted else None, **_typed_before(variant))
        if posted and form.validate():
            with self.refusing() as refusal:
                _save_variant(variant, form)
                db.session.commit()
                note("edit variant", self.endpoint, variant.id)
                flash("The variant is saved.", "success")
                return redirect(self.url_of(variant.product), 303)
            form.form_errors = [refusal.sentence]
        return self._variant_page(variant.product, form, variant, 422 if posted else 200)

    @page("/add-variant/", write=Permission.CATALOG_EDIT)
    def add_variant(self) -> Response | tuple[str, int]:
        """One more variant of a product."""
        product = self.get_one(request.args.get("id", ""))
        if not self.allows(Permission.CATALOG_EDIT):
            return redirect(self.url_of(product), 303)
        posted = request.method == "POST"
        form = VariantForm(_posted() if posted else None)
        if posted and form.validate():
            with self.refusing() as refusal:
                last = max((each.position for each in product.variants), default=0)
                variant = _new_variant(product, last + 1)
                _save_variant(variant, form)
                db.session.commit()
                note("add variant", self.endpoint, variant.id)
                flash("The variant is added.", "success")
                return redirect(self.url_of(product), 303)
            form.form_errors = [refusal.sentence]
            product = self.get_one(request.args.get("id", ""))
        return self._variant_page(product, form, None, 422 if posted else 200)

    def _variant(self, key: str) -> ProductSku:
        number = int(key) if key.isascii() and key.isdigit() and len(key) < 19 else -1
        variant = db.session.scalar(
            select(ProductSku)
            .where(ProductSku.id == number)
            .options(
                joinedload(ProductSku.product).selectinload(Product.options),
                joinedload(ProductSku.sku).joinedload(Sku.inventory),
            )
        )
        if variant is None:
            raise NotFound("There is no such variant any more.")
        return variant

    def _variant_page(
        self, product: Product, form: Form, variant: ProductSku | None, status: int
    ) -> tuple[str, int]:
        names = option_names(product)
        for number, name in enumerate(names[:3], start=1):
            form[f"option{number}"].label.text = name
        html = self.render(
            "admin/catalog/variant.html",
            product=product,
            variant=variant,
            form=form,
            sections=_sections(len(names)),
            history=_history(variant),
            options_text=_options_text,
            may_save=self.allows(Permission.CATALOG_EDIT),
        )
        return html, status

    @action(
        "Publish",
        permission=Permission.CATALOG_EDIT,
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
        bulk=True,
        when=lambda product: product.status != ProductStatus.DRAFT,
    )
    def withdraw(self, row: Product) -> str:
        products.unpublish(row)
        return f"{row.title} is a draft and no longer in the shop."

    @action(
        "Retire",
        permission=Permission.CATALOG_EDIT,
        tone="danger",
        bulk=True,
        when=lambda product: product.status != ProductStatus.RETIRED,
    )
    def retire(self, row: Product) -> str:
        products.retire(row)
        return f"{row.title} is retired."


def _options_text(variant: ProductSku) -> str:
    values = (variant.option1, variant.option2, variant.option3)
    return options_text(values) or "The only variant"


def _shot(picture: Picture, alt: str) -> tuple[str | None, str]:
    there = picture.state is PictureState.FETCHED and picture.file_name
    return (f"{PICTURES_PATH}{picture.file_name}" if there else None), alt


def _prices(sku_ids: Sequence[int]) -> dict[int, SkuPrice]:
    """Return the price in force of each sku that has one. One statement."""
    newest = (
        select(SkuPrice)
        .where(SkuPrice.sku_id.in_(sku_ids), SkuPrice.in_force_at <= clock.now())
        .ext(distinct_on(SkuPrice.sku_id))
        .order_by(SkuPrice.sku_id, SkuPrice.in_force_at.desc(), SkuPrice.id.desc())
    )
    return {price.sku_id: price for price in db.session.scalars(newest)}


def _history(variant: ProductSku | None) -> Sequence[SkuPrice]:
    if variant is None:
        return []
    return db.session.scalars(
        select(SkuPrice)
        .where(SkuPrice.sku_id == variant.sku_id)
        .order_by(SkuPrice.in_force_at.desc(), SkuPrice.id.desc())
        .limit(50)
    ).all()


def _sections(options: int) -> list[tuple[str, Sequence[str]]]:
    """Leave out the fields of options that the product doesn't have."""
    first = ("Options", VARIANT_SECTIONS[0][1][:options])
    return [first, *VARIANT_SECTIONS[1:]] if options else list(VARIANT_SECTIONS[1:])


def option_names(product: Product) -> list[str]:
    """Return what a buyer chooses; a product with a single variant has Shopify's "Title" only."""
    names = [option.name for option in product.options]
    return [] if names == [products.DEFAULT_OPTION] else names


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


def _new_variant(product: Product, position: int) -> ProductSku:
    variant = ProductSku(product_id=product.id, position=position)
    variant.sku = Sku(inventory=SkuInventory())
    db.session.add(variant)
    return variant


def _typed_before(variant: ProductSku) -> dict[str, Any]:
    sku, stock = variant.sku, variant.sku.inventory
    price = _prices([sku.id]).get(sku.id)
    return {
        "option1": variant.option1,
        "option2": variant.option2,
        "option3": variant.option3,
        "code": sku.code,
        "barcode": sku.barcode,
        "kind": sku.kind.value,
        "weight_grams": sku.weight_grams,
        "taxable": sku.taxable,
        "price": price.unit_amount if price else None,
        "compare_at": price.compare_at_amount if price else None,
        "tracked": stock.tracked if stock else True,
        "backorder": stock.backorder if stock else False,
        "on_hand": stock.on_hand if stock else 0,
        "seen_on_hand": str(stock.on_hand if stock else 0),
    }


def _posted() -> MultiDict[str, Any]:
    values: MultiDict[str, Any] = MultiDict(request.form)
    values.update(request.files)
    return values


def _save_variant(variant: ProductSku, form: Any) -> None:
    sku = variant.sku
    for name in ("option1", "option2", "option3"):
        if form[name].raw_data:
            setattr(variant, name, form[name].data or "")
    if not (variant.option1 or variant.option2 or variant.option3):
        variant.option1 = DEFAULT_TITLE
    sku.code = form.code.data or ""
    sku.barcode = form.barcode.data or ""
    sku.kind = SkuKind(form.kind.data)
    sku.weight_grams = form.weight_grams.data or 0
    sku.taxable = form.taxable.data
    if form.download.data:
        sku.download_file = _keep_file(form.download.data)
    db.session.flush()
    _save_stock(sku.id, form)
    currency = get_shop().currency
    products.set_price(sku.id, form.price.data, form.compare_at.data, currency)


def _save_stock(sku_id: int, form: Any) -> None:
    """Move the stock by the difference to what was on the form.

    A parcel that left between opening the page and saving it is not undone by that.
    """
    stock = db.session.get(SkuInventory, sku_id, with_for_update=True, populate_existing=True)
    if stock is None:
        stock = SkuInventory(sku_id=sku_id, on_hand=0, reserved=0)
        db.session.add(stock)
    seen = re.fullmatch(r"-?\d{1,10}", form.seen_on_hand.data or "0")
    target = stock.on_hand + (form.on_hand.data or 0) - int(seen.group() if seen else 0)
    stock.tracked = form.tracked.data
    stock.backorder = form.backorder.data
    stock.tracker = (stock.tracker or "shopify") if stock.tracked else ""
    db.session.flush()
    if target != stock.on_hand:
        products.adjust_stock(sku_id, target, str(current_user.id))


def _keep_file(upload: FileStorage) -> str:
    """Store a digital good where no address leads to it; returns its name.

    The name is new each time: who bought the old file keeps a link to the old file.
    """
    name = secure_filename(upload.filename or "") or "download"
    stored = f"{secrets.token_hex(8)}-{name[-120:]}"
    folder = current_fork().upload_folder / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{stored}.part"
    upload.save(partial)
    os.replace(partial, folder / stored)
    return stored
