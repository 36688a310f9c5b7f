"""Rows of the file into products, variants and pictures, checked cell by cell.

A product's first row carries its own cells and its first variant; the rows after it, under the
same handle, carry further variants, further pictures, or both.
"""

import json
import re
from collections.abc import Callable

from webapp.catalog.services.shopify.cells import MAX_TEXT, Cells, short_form
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
from webapp.catalog.services.shopify.rows import (
    Batch,
    Current,
    ImageRow,
    ProductRow,
    VariantRow,
    published_status,
    split_tags,
    whole_grams,
)

NO_SLUG = re.compile(r"[\s/?#%\\]")
WEIGHT_UNITS = ("", "kg", "g", "lb", "oz")
SHORT_TEXTS = ("Title", "Vendor", "Type", "SEO Title")
# What may stand in a row that has a picture and no variant, besides: older exports repeat these.
MARKS_A_VARIANT = (*OPTION_VALUES, "Variant SKU", "Variant Price")


class RowReader(Cells):
    """Turns records into rows for the staging tables; what is wrong goes to ``problems``."""

    def __init__(self, header: Header, currency: str, problems: Lines) -> None:
        super().__init__(header, currency, problems)
        self.batch = Batch()
        self.rows = 0
        self.products = 0
        self.kept: set[str] = set()
        self._current: Current | None = None
        self._later = [name for name in (*OF_PRODUCT, *OPTION_NAMES) if name in header]
        self._of_variant = [name for name in OF_VARIANT if name in header]

    def take_batch(self) -> Batch:
        batch, self.batch = self.batch, Batch()
        return batch

    def read(self, line: int, cells: list[str]) -> None:
        """Add one record's rows to the batch."""
        self.rows += 1
        self.line, self.cells = line, cells
        if len(cells) != len(self.header.names):
            self.wrong(f"The row has {len(cells)} cells, the header has {len(self.header.names)}.")
            return
        handle = self.get(HANDLE).strip()
        if not handle:
            self.wrong("The row has no Handle, so it belongs to no product.")
            return
        if self._current is None or self._current.handle != handle:
            self._begin_product(handle)
        else:
            self._continue_product(self._current)

    def _begin_product(self, handle: str) -> None:
        self.products += 1
        if NO_SLUG.search(handle) or len(handle) > MAX_TEXT:
            self.wrong(
                f"Handle “{handle[:80]}” can't be part of an address: "
                "use letters, digits and hyphens."
            )
        current = Current(handle, self.line, self.cells, self._read_option_names())
        self._current = current
        if "Title" in self.header and not self.get("Title").strip():
            self.wrong("The first row of a product needs a Title.")
        for name in SHORT_TEXTS:
            self.short(name)
        tags = split_tags(self.get("Tags"))
        if any(len(tag) > MAX_TEXT for tag in tags):
            self.wrong(f"A tag is longer than {MAX_TEXT} characters.")
        self.batch.products.append(
            ProductRow(
                number=self.products,
                line=self.line,
                slug=handle,
                title=self.get("Title"),
                body_html=self.get("Body (HTML)"),
                vendor=self.get("Vendor"),
                product_type=self.get("Type"),
                tags=tags,
                status=self._read_status(),
                seo_title=self.get("SEO Title"),
                seo_description=self.get("SEO Description"),
                gift_card=self.boolean("Gift Card", default=False),
                options=current.options,
                extra=self._extra_of_product(),
            )
        )
        self._read_variant(current)
        if self.get("Image Src").strip():
            self._read_image(current, "{}")

    def _continue_product(self, current: Current) -> None:
        for name in self._later:
            cell = self.get(name)
            first = current.cells[self.header.index[name]]
            if cell and cell != first:
                self.wrong(
                    f"{name} is “{short_form(cell)}” here but “{short_form(first)}” on "
                    f"line {current.line}, where the product begins."
                )
        has_image = bool(self.get("Image Src").strip())
        if any(self.get(name) for name in MARKS_A_VARIANT):
            self._read_variant(current)
            extra = "{}"
        elif has_image:
            extra = self._extra_of_image()
        else:
            self.wrong(
                "The row has neither option values nor an Image Src. If the product is listed "
                f"twice (it begins on line {current.line}), remove one."
            )
            return
        if has_image:
            self._read_image(current, extra)

    def _read_option_names(self) -> list[str]:
        names = [self.get(name).strip() for name in OPTION_NAMES]
        while names and not names[-1]:
            names.pop()
        if not names:
            if self.get("Option1 Value"):
                self.wrong("Option1 Value is given but Option1 Name is empty.")
            return [DEFAULT_OPTION]
        if not all(names):
            self.wrong(f"Option{names.index('') + 1} Name is empty but a later one isn't.")
        if len(set(names)) < len(names):
            self.wrong("Two options of the product have the same name.")
        for name in OPTION_NAMES:
            self.short(name)
        return names

    def _read_option_values(self, current: Current) -> list[str]:
        values = [self.get(name) for name in OPTION_VALUES]
        if not any(values) and current.options == [DEFAULT_OPTION] and current.variants == 1:
            return [DEFAULT_VALUE, "", ""]
        for place, (column, value) in enumerate(zip(OPTION_VALUES, values, strict=True)):
            self.short(column)
            if place >= len(current.options):
                if value:
                    self.wrong(
                        f"{column} is “{short_form(value)}” but the product has no "
                        f"Option{place + 1} Name (line {current.line})."
                    )
            elif not value:
                self.wrong(f"{column} ({current.options[place]}) is empty.")
        return values

    def _read_variant(self, current: Current) -> None:
        current.variants += 1
        first, second, third = self._read_option_values(current)
        tracker = self.get("Variant Inventory Tracker").strip()
        backorder = self._read_policy() == "continue"
        on_hand = self.count("Variant Inventory Qty")
        if on_hand < 0 and tracker and not backorder:
            self.wrong(
                f"Variant Inventory Qty is {on_hand}, but less than nothing needs the "
                "Variant Inventory Policy “continue”."
            )
        unit_amount, compare_at_amount = self._read_prices()
        for name in ("Variant SKU", "Variant Barcode"):
            self.short(name)
        self.batch.variants.append(
            VariantRow(
                number=self.products,
                line=self.line,
                position=current.variants,
                option1=first,
                option2=second,
                option3=third,
                code=self.get("Variant SKU").strip(),
                barcode=self.get("Variant Barcode"),
                ships=self.boolean("Variant Requires Shipping", default=True),
                weight_grams=self._read_grams(),
                weight_unit=self.one_of("Variant Weight Unit", WEIGHT_UNITS),
                taxable=self.boolean("Variant Taxable", default=True),
                tax_code=self.get("Variant Tax Code"),
                fulfillment_service=self.get("Variant Fulfillment Service"),
                tracker=tracker,
                backorder=backorder,
                on_hand=on_hand,
                unit_amount=unit_amount,
                compare_at_amount=compare_at_amount,
                image_url=self.url("Variant Image"),
                extra=self._extra_of_variant(first_row=current.variants == 1),
            )
        )

    def _read_policy(self) -> str:
        return self.one_of("Variant Inventory Policy", ("", "deny", "continue"))

    def _read_prices(self) -> tuple[int | None, int | None]:
        price, compare_at = self.amount("Variant Price"), self.amount("Variant Compare At Price")
        if price is None and compare_at is not None and "Variant Price" in self.header:
            self.wrong("Variant Compare At Price is given but Variant Price is empty.")
        return price, compare_at

    def _read_grams(self) -> int:
        text = self.get("Variant Grams").strip()
        grams = whole_grams(text or "0")
        if grams is None:
            self.wrong(f"Variant Grams “{short_form(text)}” is not a weight of 0 or more.")
        return grams or 0

    def _read_status(self) -> str:
        status = self.one_of(STATUS, ("", "active", "draft", "archived"))
        return published_status(self.boolean("Published", default=True), status).value

    def _read_image(self, current: Current, extra: str) -> None:
        url = self.url("Image Src")
        position = self._read_position(current)
        taken = current.positions.get(position)
        if taken == url and extra == "{}":
            return
        if taken is not None:
            self.wrong(f"Image Position {position} is taken by another picture of this product.")
        current.positions[position] = url
        current.last_position = max(current.last_position, position)
        self.batch.images.append(
            ImageRow(self.products, self.line, position, url, self.get("Image Alt Text"), extra)
        )

    def _read_position(self, current: Current) -> int:
        if not self.get("Image Position").strip():
            return current.last_position + 1
        position = self.count("Image Position")
        if position < 1:
            self.wrong("Image Position must be 1 or more.")
        return position

    def _extra_of_product(self) -> str:
        extra = self._unknown(lambda name: not is_of_variant(name))
        for name in ("Published", STATUS):
            if name in self.header:
                extra[name] = self.get(name).strip().lower()
        if extra.get("Published") in ("true", "false") and STATUS not in extra:
            del extra["Published"]
        return _json(extra)

    def _extra_of_variant(self, *, first_row: bool) -> str:
        extra = self._unknown(lambda name: is_of_variant(name) or not first_row)
        grams = self.get("Variant Grams").strip()
        if grams and not grams.isdecimal():
            extra["Variant Grams"] = grams
        return _json(extra)

    def _extra_of_image(self) -> str:
        extra = self._unknown()
        for name in self._of_variant:
            if cell := self.get(name):
                extra[name] = cell
        return _json(extra)

    def _unknown(self, wanted: Callable[[str], bool] = bool) -> dict[str, str]:
        found = {
            name: cell
            for place, name in self.header.unknown
            if (cell := self.cells[place]) and wanted(name)
        }
        self.kept.update(found)
        return found


def _json(values: dict[str, str]) -> str:
    return json.dumps(values, ensure_ascii=False) if values else "{}"
