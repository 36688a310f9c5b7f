"""One file's way into the catalogue: its columns, its values, and how its statements are run."""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from webapp.catalog.services.shopify.columns import IMAGE_ROWS, KEPT_AS_WRITTEN, OF_VARIANT
from webapp.catalog.services.shopify.reading import Header
from webapp.core.db import db
from webapp.core.money import exponent

LABELS = {
    "body_html": "description",
    "product_type": "type",
    "seo_title": "SEO title",
    "seo_description": "SEO description",
    "gift_card": "gift card",
    "position": "place in the list",
    "code": "SKU",
    "weight_grams": "weight",
    "weight_unit": "weight unit",
    "tax_code": "tax code",
    "fulfillment_service": "fulfilment service",
    "extra": "columns kept aside",
}
LARGE = 500


class Merge:
    """A staged file meeting the catalogue."""

    def __init__(self, header: Header, currency: str, now: datetime, rows: int) -> None:
        self.header = header
        self._large = rows > LARGE
        self._values: dict[str, Any] = {
            "now": now,
            "currency": currency,
            "exponent": exponent(currency),
            "present": [
                *(name for _, name in header.unknown),
                *(name for name in sorted(KEPT_AS_WRITTEN) if name in header),
                *([IMAGE_ROWS] if "Image Src" in header else []),
            ],
            "image_rows": IMAGE_ROWS,
        }
        self.has_variants = header.has_any(OF_VARIANT)
        self.prices_set = 0
        self.pictures_added = 0

    def do(self, statement: str) -> int:
        result = db.session.execute(text(statement), self._values)
        return int(getattr(result, "rowcount", 0))

    def measure(self, *tables: str) -> None:
        """Tell the planner how many rows there are now, if it matters.

        It may believe a table to be empty that held only dead rows when autovacuum looked; what
        it plans then takes the square of the time.
        """
        if self._large:
            self.do(f"ANALYZE {', '.join(tables)}")

    def change(
        self, table: str, alias: str, source: str, staged: str, values: dict[str, str]
    ) -> None:
        """Update the rows of ``table`` whose ``values`` differ and note which of them did.

        ``source`` joins the staged table with ``table``; ``values`` are expressions over both.
        """
        differs = {
            column: f"{alias}.{column} IS DISTINCT FROM {value}" for column, value in values.items()
        }
        what = ", ".join(
            f"CASE WHEN {test} THEN '{LABELS.get(column, column)}' END"
            for column, test in differs.items()
        )
        changed = " OR ".join(differs.values())
        self.do(f"""
            INSERT INTO import_change
            SELECT {staged}.number, {staged}.line, 'changed: ' || concat_ws(', ', {what})
            FROM {source} WHERE {changed}
            """)
        sets = ", ".join(f"{column} = new.{column}" for column in values)
        selected = ", ".join(f"{value} AS {column}" for column, value in values.items())
        self.do(f"""
            UPDATE {table} SET {sets}
            FROM (SELECT {alias}.id, {selected} FROM {source} WHERE {changed}) new
            WHERE {table}.id = new.id
            """)
