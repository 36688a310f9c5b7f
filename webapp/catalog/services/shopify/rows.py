"""Rows of the file into products, variants and pictures, checked cell by cell.

A product's first row carries its own cells and its first variant; the rows after it, under the
same handle, carry further variants, further pictures, or both.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from urllib.parse import urlsplit

from webapp.catalog.models import ProductStatus
from webapp.catalog.services.shopify.columns import (
    DEFAULT_OPTION,
    DEFAULT_VALUE,
    HANDLE,
    OF_PRODUCT,
    OF_VARIANT,
    OPTION_NAMES,
    OPTION_VALUES,
    STATUS,
    is_of_variant,
)
from webapp.catalog.services.shopify.reading import Header
from webapp.catalog.services.shopify.report import Lines
from webapp.core.errors import DomainError
from webapp.core.money import parse_amount

MAX_TEXT = 255
MAX_URL = 2000
MAX_COUNT = 10**9
NO_SLUG = re.compile(r"[\s/?#%\\]")
WEIGHT_UNITS = ("", "kg", "g", "lb", "oz")
SHORT_TEXTS = ("Title", "Vendor", "Type", "SEO Title")
# What may stand in a row that has a picture and no variant, besides: older exports repeat these.
MARKS_A_VARIANT = (*OPTION_VALUES, "Variant SKU", "Variant Price")


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One product; the fields are the columns of the staging table, in its order."""

    number: int
    line: int
    slug: str
    title: str
    body_html: str
    vendor: str
    product_type: str
    tags: list[str]
    status: str
    seo_title: str
    seo_description: str
    gift_card: bool
    options: list[str]
    extra: str


@dataclass(frozen=True, slots=True)
class VariantRow:
    number: int
    line: int
    position: int
    option1: str
    option2: str
    option3: str
    code: str
    barcode: str
    ships: bool
    weight_grams: int
    weight_unit: str
    taxable: bool
    tax_code: str
    fulfillment_service: str
    tracker: str
    backorder: bool
    on_hand: int
    unit_amount: int | None
    compare_at_amount: int | None
    image_url: str
    extra: str


@dataclass(frozen=True, slots=True)
class ImageRow:
    number: int
    line: int
    position: int
    url: str
    alt: str
    extra: str


@dataclass(slots=True)
class Current:
    """The product whose rows are being read."""

    handle: str
    line: int
    cells: list[str]
    options: list[str]
    variants: int = 0
    last_position: int = 0
    positions: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    products: list[ProductRow] = field(default_factory=list)
    variants: list[VariantRow] = field(default_factory=list)
    images: list[ImageRow] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.products) + len(self.variants) + len(self.images)


def published_status(published: bool, status: str) -> ProductStatus:
    """Return our one status for Shopify's two: ``Status`` is empty in files from before it."""
    if status == "archived":
        return ProductStatus.RETIRED
    if status == "draft" or not published:
        return ProductStatus.DRAFT
    return ProductStatus.PUBLISHED


def whole_grams(text: str) -> int | None:
    """Return the weight rounded to grams, or None when ``text`` isn't a weight."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or not 0 <= value <= MAX_COUNT:
        return None
    return int(value.to_integral_value(ROUND_HALF_UP))


def split_tags(text: str) -> list[str]:
    return [tag for part in text.split(",") if (tag := part.strip())]


class RowReader:
    """Turns records into rows for the staging tables; what is wrong goes to ``problems``."""

    def __init__(self, header: Header, currency: str, problems: Lines) -> None:
        self.batch = Batch()
        self.rows = 0
        self.products = 0
        self.kept: set[str] = set()
        self._header = header
        self._currency = currency
        self._problems = problems
        self._line = 0
        self._cells: list[str] = []
        self._current: Current | None = None
        self._later = [name for name in (*OF_PRODUCT, *OPTION_NAMES) if name in header]
        self._of_variant = [name for name in OF_VARIANT if name in header]

    def take_batch(self) -> Batch:
        batch, self.batch = self.batch, Batch()
        return batch

    def read(self, line: int, cells: list[str]) -> None:
        """Add one record's rows to the batch."""
        self.rows += 1
        self._line, self._cells = line, cells
        if len(cells) != len(self._header.names):
            self._wrong(
                f"The row has {len(cells)} cells, the header has {len(self._header.names)}."
            )
            return
        handle = self._get(HANDLE).strip()
        if not handle:
            self._wrong("The row has no Handle, so it belongs to no product.")
            return
        if self._current is None or self._current.handle != handle:
            self._begin_product(handle)
        else:
            self._continue_product(self._current)

    def _wrong(self, sentence: str) -> None:
        self._problems.add(self._line, sentence)

    def _get(self, name: str) -> str:
        place = self._header.index.get(name)
        return "" if place is None else self._cells[place]

    def _begin_product(self, handle: str) -> None:
        self.products += 1
        if NO_SLUG.search(handle) or len(handle) > MAX_TEXT:
            self._wrong(
                f"Handle “{handle[:80]}” can't be part of an address: "
                "use letters, digits and hyphens."
            )
        current = Current(handle, self._line, self._cells, self._read_option_names())
        self._current = current
        if "Title" in self._header and not self._get("Title").strip():
            self._wrong("The first row of a product needs a Title.")
        for name in SHORT_TEXTS:
            self._short(name)
        tags = split_tags(self._get("Tags"))
        if any(len(tag) > MAX_TEXT for tag in tags):
            self._wrong(f"A tag is longer than {MAX_TEXT} characters.")
        self.batch.products.append(
            ProductRow(
                number=self.products,
                line=self._line,
                slug=handle,
                title=self._get("Title"),
                body_html=self._get("Body (HTML)"),
                vendor=self._get("Vendor"),
                product_type=self._get("Type"),
                tags=tags,
                status=self._read_status(),
                seo_title=self._get("SEO Title"),
                seo_description=self._get("SEO Description"),
                gift_card=self._boolean("Gift Card", default=False),
                options=current.options,
                extra=self._extra_of_product(),
            )
        )
        self._read_variant(current)
        if self._get("Image Src").strip():
            self._read_image(current, "{}")

    def _continue_product(self, current: Current) -> None:
        for name in self._later:
            cell = self._get(name)
            first = current.cells[self._header.index[name]]
            if cell and cell != first:
                self._wrong(
                    f"{name} is “{_short_form(cell)}” here but “{_short_form(first)}” on "
                    f"line {current.line}, where the product begins."
                )
        has_image = bool(self._get("Image Src").strip())
        if any(self._get(name) for name in MARKS_A_VARIANT):
            self._read_variant(current)
            extra = "{}"
        elif has_image:
            extra = self._extra_of_image()
        else:
            self._wrong(
                "The row has neither option values nor an Image Src. If the product is listed "
                f"twice (it begins on line {current.line}), remove one."
            )
            return
        if has_image:
            self._read_image(current, extra)

    def _read_option_names(self) -> list[str]:
        names = [self._get(name).strip() for name in OPTION_NAMES]
        while names and not names[-1]:
            names.pop()
        if not names:
            if self._get("Option1 Value"):
                self._wrong("Option1 Value is given but Option1 Name is empty.")
            return [DEFAULT_OPTION]
        if not all(names):
            self._wrong(f"Option{names.index('') + 1} Name is empty but a later one isn't.")
        if len(set(names)) < len(names):
            self._wrong("Two options of the product have the same name.")
        for name in OPTION_NAMES:
            self._short(name)
        return names

    def _read_option_values(self, current: Current) -> list[str]:
        values = [self._get(name) for name in OPTION_VALUES]
        if not any(values) and current.options == [DEFAULT_OPTION] and current.variants == 1:
            return [DEFAULT_VALUE, "", ""]
        for place, (column, value) in enumerate(zip(OPTION_VALUES, values, strict=True)):
            self._short(column)
            if place >= len(current.options):
                if value:
                    self._wrong(
                        f"{column} is “{_short_form(value)}” but the product has no "
                        f"Option{place + 1} Name (line {current.line})."
                    )
            elif not value:
                self._wrong(f"{column} ({current.options[place]}) is empty.")
        return values

    def _read_variant(self, current: Current) -> None:
        current.variants += 1
        first, second, third = self._read_option_values(current)
        tracker = self._get("Variant Inventory Tracker").strip()
        backorder = self._read_policy() == "continue"
        on_hand = self._count("Variant Inventory Qty")
        if on_hand < 0 and tracker and not backorder:
            self._wrong(
                f"Variant Inventory Qty is {on_hand}, but less than nothing needs the "
                "Variant Inventory Policy “continue”."
            )
        unit_amount, compare_at_amount = self._read_prices()
        for name in ("Variant SKU", "Variant Barcode"):
            self._short(name)
        self.batch.variants.append(
            VariantRow(
                number=self.products,
                line=self._line,
                position=current.variants,
                option1=first,
                option2=second,
                option3=third,
                code=self._get("Variant SKU").strip(),
                barcode=self._get("Variant Barcode"),
                ships=self._boolean("Variant Requires Shipping", default=True),
                weight_grams=self._read_grams(),
                weight_unit=self._one_of("Variant Weight Unit", WEIGHT_UNITS),
                taxable=self._boolean("Variant Taxable", default=True),
                tax_code=self._get("Variant Tax Code"),
                fulfillment_service=self._get("Variant Fulfillment Service"),
                tracker=tracker,
                backorder=backorder,
                on_hand=on_hand,
                unit_amount=unit_amount,
                compare_at_amount=compare_at_amount,
                image_url=self._url("Variant Image"),
                extra=self._extra_of_variant(first_row=current.variants == 1),
            )
        )

    def _read_policy(self) -> str:
        return self._one_of("Variant Inventory Policy", ("", "deny", "continue"))

    def _read_prices(self) -> tuple[int | None, int | None]:
        price, compare_at = self._amount("Variant Price"), self._amount("Variant Compare At Price")
        if price is None and compare_at is not None and "Variant Price" in self._header:
            self._wrong("Variant Compare At Price is given but Variant Price is empty.")
        return price, compare_at

    def _read_grams(self) -> int:
        text = self._get("Variant Grams").strip()
        grams = whole_grams(text or "0")
        if grams is None:
            self._wrong(f"Variant Grams “{_short_form(text)}” is not a weight of 0 or more.")
        return grams or 0

    def _read_status(self) -> str:
        status = self._one_of(STATUS, ("", "active", "draft", "archived"))
        return published_status(self._boolean("Published", default=True), status).value

    def _read_image(self, current: Current, extra: str) -> None:
        url = self._url("Image Src")
        position = self._read_position(current)
        taken = current.positions.get(position)
        if taken == url and extra == "{}":
            return
        if taken is not None:
            self._wrong(f"Image Position {position} is taken by another picture of this product.")
        current.positions[position] = url
        current.last_position = max(current.last_position, position)
        self.batch.images.append(
            ImageRow(self.products, self._line, position, url, self._get("Image Alt Text"), extra)
        )

    def _read_position(self, current: Current) -> int:
        if not self._get("Image Position").strip():
            return current.last_position + 1
        position = self._count("Image Position")
        if position < 1:
            self._wrong("Image Position must be 1 or more.")
        return position

    def _extra_of_product(self) -> str:
        extra = self._unknown(lambda name: not is_of_variant(name))
        for name in ("Published", STATUS):
            if name in self._header:
                extra[name] = self._get(name).strip().lower()
        if extra.get("Published") in ("true", "false") and STATUS not in extra:
            del extra["Published"]
        return _json(extra)

    def _extra_of_variant(self, *, first_row: bool) -> str:
        extra = self._unknown(lambda name: is_of_variant(name) or not first_row)
        grams = self._get("Variant Grams").strip()
        if grams and not grams.isdecimal():
            extra["Variant Grams"] = grams
        return _json(extra)

    def _extra_of_image(self) -> str:
        extra = self._unknown()
        for name in self._of_variant:
            if cell := self._get(name):
                extra[name] = cell
        return _json(extra)

    def _unknown(self, wanted: Callable[[str], bool] = bool) -> dict[str, str]:
        found = {
            name: cell
            for place, name in self._header.unknown
            if (cell := self._cells[place]) and wanted(name)
        }
        self.kept.update(found)
        return found

    def _short(self, name: str) -> None:
        if len(self._get(name)) > MAX_TEXT:
            self._wrong(f"{name} is longer than {MAX_TEXT} characters.")

    def _boolean(self, name: str, *, default: bool) -> bool:
        text = self._get(name).strip().lower()
        if text in ("true", "false"):
            return text == "true"
        if text:
            self._wrong(f"{name} is “{_short_form(text)}”; write true or false.")
        return default

    def _one_of(self, name: str, values: tuple[str, ...]) -> str:
        text = self._get(name).strip().lower()
        if text not in values:
            allowed = ", ".join(value for value in values if value)
            self._wrong(f"{name} is “{_short_form(text)}”; it can be {allowed}.")
            return ""
        return text

    def _count(self, name: str) -> int:
        text = self._get(name).strip()
        if not text:
            return 0
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or abs(value) > MAX_COUNT or value != int(value):
            self._wrong(f"{name} “{_short_form(text)}” is not a whole number.")
            return 0
        return int(value)

    def _amount(self, name: str) -> int | None:
        text = self._get(name).strip()
        if not text:
            return None
        try:
            return parse_amount(text, self._currency)
        except DomainError as error:
            self._wrong(f"{name}: {error.sentence}")
            return None

    def _url(self, name: str) -> str:
        text = self._get(name).strip()
        if not text:
            return ""
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable or len(text) > MAX_URL:
            self._wrong(f"{name} “{_short_form(text)}” is not a web address of a picture.")
        return text


def _short_form(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _json(values: dict[str, str]) -> str:
    return json.dumps(values, ensure_ascii=False) if values else "{}"
