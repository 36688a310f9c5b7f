"""The pages of a product's variants: options, price, stock, identity and the file for buyers."""

import os
import re
import secrets
from collections.abc import Sequence
from typing import Any

from flask import flash, redirect, request
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import joinedload
from werkzeug import Response
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.utils import secure_filename
from wtforms import Form

from admin.base import Changes, Room, page, record
from admin.catalog.forms import VARIANT_SECTIONS, VariantForm
from webapp.accounts.permissions import Permission
from webapp.catalog.models import Product, ProductSku, Sku, SkuInventory, SkuKind, SkuPrice
from webapp.catalog.queries import DEFAULT_TITLE, options_text
from webapp.catalog.services import products
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import NotFound
from webapp.core.shop import get_shop
from webapp.core.state import current_fork


class VariantPages(Room):
    """What the room of products does with one variant."""

    @page("/variant/", write=Permission.CATALOG_EDIT)
    def variant(self) -> Response | tuple[str, int]:
        """One variant with its form and the history of its prices."""
        variant = self._variant(request.args.get("id", ""))
        posted = request.method == "POST"
        form = VariantForm(_posted() if posted else None, **_typed_before(variant))
        if posted and form.validate():
            with self.refusing() as refusal, Changes(variant) as changes:
                _save_variant(variant, form)
                about: dict[str, Any] = {"variant": variant.id, "fields": changes.fields}
                record("variant.changed", self.subject_of(variant.product), **about)
                db.session.commit()
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
                record("variant.added", self.subject_of(product), variant=variant.id)
                db.session.commit()
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
            options_text=variant_text,
            may_save=self.allows(Permission.CATALOG_EDIT),
        )
        return html, status


def variant_text(variant: ProductSku) -> str:
    values = (variant.option1, variant.option2, variant.option3)
    return options_text(values) or "The only variant"


def prices_of(sku_ids: Sequence[int]) -> dict[int, SkuPrice]:
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


def _new_variant(product: Product, position: int) -> ProductSku:
    variant = ProductSku(product_id=product.id, position=position)
    variant.sku = Sku(inventory=SkuInventory())
    db.session.add(variant)
    return variant


def _typed_before(variant: ProductSku) -> dict[str, Any]:
    sku, stock = variant.sku, variant.sku.inventory
    price = prices_of([sku.id]).get(sku.id)
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
