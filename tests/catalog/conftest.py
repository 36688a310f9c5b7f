"""A shelf to fill: product CSVs written by hand, imported and exported again."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.catalog.models import Product, ProductSku, Sku
from webapp.catalog.services.shopify.exporting import export_products
from webapp.catalog.services.shopify.importing import import_products
from webapp.catalog.services.shopify.report import ImportReport

DATA = Path(__file__).parent / "data"
REAL_FILES = [DATA / "shopify-apparel.csv", DATA / "shopify-jewelery.csv"]

Row = dict[str, object]
ImportRows = Callable[..., ImportReport]


def write_csv(rows: list[Row], columns: list[str] | None = None) -> bytes:
    """A CSV of the rows' columns, in the order they first appear."""
    names = columns or list(dict.fromkeys(name for row in rows for name in row))
    output = io.StringIO(newline="")
    writer = csv.DictWriter(output, names, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return output.getvalue().encode()


def shirt(**cells: object) -> Row:
    """The first row of a shirt in size S; cells are given as ``Variant_Price=5``."""
    return {
        "Handle": "shirt",
        "Title": "Shirt",
        "Published": "true",
        "Option1 Name": "Size",
        "Option1 Value": "S",
        "Variant SKU": "",
        "Variant Inventory Tracker": "shopify",
        "Variant Inventory Qty": "5",
        "Variant Price": "20",
    } | {name.replace("_", " "): cell for name, cell in cells.items()}


def further(value: str, **cells: object) -> Row:
    """A further row of the shirt: another size."""
    return {
        "Handle": "shirt",
        "Option1 Value": value,
        "Variant Inventory Tracker": "shopify",
        "Variant Inventory Qty": "5",
        "Variant Price": "20",
    } | {name.replace("_", " "): cell for name, cell in cells.items()}


@pytest.fixture
def import_bytes(session: Session) -> Callable[..., ImportReport]:
    def run(content: bytes, currency: str = "usd", *, dry_run: bool = False) -> ImportReport:
        return import_products(io.BytesIO(content), currency, dry_run=dry_run)

    return run


@pytest.fixture
def import_rows(import_bytes: Callable[..., ImportReport]) -> ImportRows:
    def run(*rows: Row, dry_run: bool = False) -> ImportReport:
        return import_bytes(write_csv(list(rows)), dry_run=dry_run)

    return run


@pytest.fixture
def export_text(session: Session) -> Callable[[], str]:
    def run() -> str:
        output = io.StringIO(newline="")
        export_products(output)
        return output.getvalue()

    return run


@pytest.fixture
def export_rows(export_text: Callable[[], str]) -> Callable[[], list[dict[str, str]]]:
    return lambda: list(csv.DictReader(io.StringIO(export_text(), newline="")))


@pytest.fixture
def find_sku(session: Session) -> Callable[..., Sku]:
    def find(slug: str, value: str) -> Sku:
        return session.scalars(
            select(Sku)
            .join(ProductSku)
            .join(Product)
            .where(Product.slug == slug, ProductSku.option1 == value)
        ).one()

    return find


def problems(report: ImportReport) -> list[tuple[int, str]]:
    return [(item.line, item.sentence) for item in report.problems]


def changes(report: ImportReport) -> list[tuple[int, str]]:
    return [(item.line, item.sentence) for item in report.changes]
