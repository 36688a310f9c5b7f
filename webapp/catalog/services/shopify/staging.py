"""Temporary tables that hold a file while it is checked, so that Python's memory stays flat."""

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import psycopg
from sqlalchemy import text

from webapp.catalog.services.shopify.rows import Batch, ImageRow, ProductRow, VariantRow
from webapp.core.db import db

Row = ProductRow | VariantRow | ImageRow

TABLES = ("import_product", "import_variant", "import_image", "import_change")
CREATE = """
CREATE TEMPORARY TABLE import_product (
    number bigint PRIMARY KEY, line bigint, slug text, title text, body_html text, vendor text,
    product_type text, tags text[], status text, seo_title text, seo_description text,
    gift_card boolean, options text[], extra jsonb,
    product_id bigint, is_new boolean DEFAULT false, position bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE import_variant (
    number bigint, line bigint, position bigint, option1 text, option2 text, option3 text,
    code text, barcode text, ships boolean, weight_grams bigint, weight_unit text,
    taxable boolean, tax_code text, fulfillment_service text, tracker text, backorder boolean,
    on_hand bigint, unit_amount bigint, compare_at_amount bigint, image_url text, extra jsonb,
    product_id bigint, sku_id bigint, is_new boolean DEFAULT false
) ON COMMIT DROP;
CREATE TEMPORARY TABLE import_image (
    number bigint, line bigint, position bigint, url text, alt text, extra jsonb,
    product_id bigint, picture_id bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE import_change (
    number bigint, line bigint, sentence text
) ON COMMIT DROP
"""


def create_staging() -> None:
    """Make the tables, empty; they go with the transaction."""
    drop_staging()
    for statement in CREATE.split(";"):
        db.session.execute(text(statement))


def drop_staging() -> None:
    db.session.execute(text(f"DROP TABLE IF EXISTS {', '.join(TABLES)}"))


def index_staging() -> None:
    """Tell the planner what the tables hold, once they are filled."""
    for statement in (
        "CREATE INDEX ON import_product (slug)",
        "CREATE INDEX ON import_variant (number)",
        "CREATE INDEX ON import_variant (code) WHERE code <> ''",
        "CREATE INDEX ON import_image (number)",
        "ANALYZE import_product, import_variant, import_image",
    ):
        db.session.execute(text(statement))


def stage(batch: Batch) -> None:
    """Copy a batch of rows into the tables."""
    connection: Any = db.session.connection().connection.driver_connection
    with connection.cursor() as cursor:
        for table, rows in (
            ("import_product", batch.products),
            ("import_variant", batch.variants),
            ("import_image", batch.images),
        ):
            _copy(cursor, table, rows)


def _copy(cursor: psycopg.Cursor[Any], table: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    names = [column.name for column in fields(rows[0])]
    values = attrgetter(*names)
    # The names are those of our own dataclasses.
    with cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(values(row))
