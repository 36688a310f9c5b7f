"""What the file's rows come to: products, variants and pictures, as they are staged."""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from webapp.catalog.models import ProductStatus

MAX_GRAMS = 10**9


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
    if not value.is_finite() or not 0 <= value <= MAX_GRAMS:
        return None
    return int(value.to_integral_value(ROUND_HALF_UP))


def split_tags(text: str) -> list[str]:
    return [tag for part in text.split(",") if (tag := part.strip())]
