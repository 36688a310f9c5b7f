"""The staged file into the catalogue, table by table, each in a few statements over all rows.

Only rows that differ are written, so the same file twice changes nothing. What happens is noted
in ``import_change`` with the line it is on.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from webapp.catalog.services.shopify.checking import (
    PROMISED_STOCK,
    check_products,
    check_variants,
    find_problems,
)
from webapp.catalog.services.shopify.columns import IMAGE_ROWS, KEPT_AS_WRITTEN, OF_VARIANT
from webapp.catalog.services.shopify.reading import Header
from webapp.catalog.services.shopify.report import Lines
from webapp.core.db import db
from webapp.core.money import exponent

PRODUCT_COLUMNS = {
    "Title": "title",
    "Body (HTML)": "body_html",
    "Vendor": "vendor",
    "Type": "product_type",
    "Tags": "tags",
    "SEO Title": "seo_title",
    "SEO Description": "seo_description",
    "Gift Card": "gift_card",
}
SKU_COLUMNS = {
    "Variant SKU": "code",
    "Variant Barcode": "barcode",
    "Variant Grams": "weight_grams",
    "Variant Weight Unit": "weight_unit",
    "Variant Taxable": "taxable",
    "Variant Tax Code": "tax_code",
    "Variant Fulfillment Service": "fulfillment_service",
}
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
# A file that says what we'd write ourselves for a product's status leaves nothing to keep.
CANONICAL_STATUS = """(
    s.extra @> '{"Published": "true", "Status": "active"}'
    OR s.extra @> '{"Published": "false", "Status": "draft"}'
    OR s.extra @> '{"Published": "false", "Status": "archived"}')"""
OF_SKU = ("sku", "sku_inventory", "sku_price", "sku_image", "picture")
LARGE = 500
NEWEST_PRICE = """LEFT JOIN LATERAL (
    SELECT unit_amount, compare_at_amount, currency FROM sku_price
    WHERE sku_id = v.sku_id AND in_force_at <= :now
    ORDER BY in_force_at DESC, id DESC LIMIT 1) p ON true"""


class Merge:
    """One file's way into the catalogue; the steps run in the order they stand here."""

    def __init__(self, header: Header, currency: str, now: datetime, rows: int) -> None:
        self._header = header
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
        self._has_variants = header.has_any(OF_VARIANT)
        self.prices_set = 0
        self.pictures_added = 0

    def run(self, problems: Lines) -> None:
        """Match, check and write. With problems found, what was written must be rolled back."""
        self._match_products()
        check_products(problems, has_title="Title" in self._header)
        if problems:
            return
        self._match_variants()
        check_variants(
            problems, has_options=not self._has_variants or "Option1 Value" in self._header
        )
        if problems:
            return
        self._write_products()
        self._write_skus()
        self._write_links()
        self._write_prices()
        if "Image Src" in self._header or "Variant Image" in self._header:
            self._write_pictures()
        self._touch_products()
        # Last, as its locks are those a checkout waits for.
        self._write_stock(problems)

    def _do(self, statement: str) -> int:
        result = db.session.execute(text(statement), self._values)
        return int(getattr(result, "rowcount", 0))

    def _measure(self, *tables: str) -> None:
        """Tell the planner how many rows there are now, if it matters.

        It may believe a table to be empty that held only dead rows when autovacuum looked; what
        it plans then takes the square of the time.
        """
        if self._large:
            self._do(f"ANALYZE {', '.join(tables)}")

    def _match_products(self) -> None:
        self._measure("product", "product_option", "product_sku", "product_image", *OF_SKU)
        self._do(
            "UPDATE import_product s SET product_id = p.id FROM product p WHERE p.slug = s.slug"
        )
        self._do(
            "UPDATE import_product s SET product_id = r.product_id FROM slug_redirect r "
            "WHERE s.product_id IS NULL AND r.slug = s.slug"
        )

    def _match_variants(self) -> None:
        self._do(
            "UPDATE import_product SET is_new = true, "
            "product_id = nextval(pg_get_serial_sequence('product', 'id')) "
            "WHERE product_id IS NULL"
        )
        for table in ("import_variant", "import_image"):
            self._do(
                f"UPDATE {table} x SET product_id = s.product_id FROM import_product s "
                "WHERE s.number = x.number"
            )
        if not self._has_variants:
            self._do(
                "DELETE FROM import_variant v USING import_product s "
                "WHERE s.number = v.number AND NOT s.is_new"
            )
        # A sku that no product has any more keeps its code, and returns with it.
        self._do("""
            UPDATE import_variant v SET sku_id = k.id FROM sku k
            WHERE v.code <> '' AND k.code = v.code
              AND (EXISTS (SELECT 1 FROM product_sku ps
                           WHERE ps.sku_id = k.id AND ps.product_id = v.product_id)
                   OR NOT EXISTS (SELECT 1 FROM product_sku ps WHERE ps.sku_id = k.id))
            """)
        self._do("""
            UPDATE import_variant v SET sku_id = ps.sku_id FROM product_sku ps
            WHERE v.sku_id IS NULL AND ps.product_id = v.product_id
              AND ps.option1 = v.option1 AND ps.option2 = v.option2 AND ps.option3 = v.option3
              AND NOT EXISTS (SELECT 1 FROM import_variant t WHERE t.sku_id = ps.sku_id)
            """)
        self._do(
            "UPDATE import_variant SET is_new = true, "
            "sku_id = nextval(pg_get_serial_sequence('sku', 'id')) WHERE sku_id IS NULL"
        )
        for column in (
            "import_product (product_id)",
            "import_variant (product_id)",
            "import_variant (sku_id)",
            "import_image (product_id)",
        ):
            self._do(f"CREATE INDEX ON {column}")
        self._do("ANALYZE import_product, import_variant, import_image")

    def _write_products(self) -> None:
        self._gather_image_rows()
        self._place_products()
        self._do("""
            INSERT INTO product (id, slug, title, body_html, vendor, product_type, tags, status,
                                 position, seo_title, seo_description, gift_card, extra,
                                 created_at, updated_at)
            SELECT product_id, slug, title, body_html, vendor, product_type, tags, status,
                   position, seo_title, seo_description, gift_card, extra, :now, :now
            FROM import_product WHERE is_new ORDER BY number
            """)
        self._measure("product")
        self._do("""
            INSERT INTO import_change
            SELECT number, line, format('new product “%s”', slug)
            FROM import_product WHERE is_new
            """)
        self._change(
            "product",
            "p",
            "import_product s JOIN product p ON p.id = s.product_id AND NOT s.is_new",
            "s",
            self._product_values(),
        )
        if "Option1 Name" in self._header:
            self._write_options("true")
        else:
            self._write_options("s.is_new")

    def _product_values(self) -> dict[str, str]:
        values = {
            column: f"s.{column}"
            for name, column in PRODUCT_COLUMNS.items()
            if name in self._header
        }
        if "Status" in self._header:
            values["status"] = "s.status"
        elif "Published" in self._header:
            # Published alone can't tell retired from draft.
            values["status"] = (
                "CASE WHEN p.status = 'retired' AND s.status = 'draft' THEN p.status "
                "ELSE s.status END"
            )
        values["position"] = "s.position"
        values["extra"] = (
            "(p.extra - CAST(:present AS text[])) || CASE WHEN p.extra ? 'Status' OR NOT "
            f"{CANONICAL_STATUS} THEN s.extra ELSE s.extra - 'Status' - 'Published' END"
        )
        return values

    def _change(
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
        self._do(f"""
            INSERT INTO import_change
            SELECT {staged}.number, {staged}.line, 'changed: ' || concat_ws(', ', {what})
            FROM {source} WHERE {changed}
            """)
        sets = ", ".join(f"{column} = new.{column}" for column in values)
        selected = ", ".join(f"{value} AS {column}" for column, value in values.items())
        self._do(f"""
            UPDATE {table} SET {sets}
            FROM (SELECT {alias}.id, {selected} FROM {source} WHERE {changed}) new
            WHERE {table}.id = new.id
            """)

    def _gather_image_rows(self) -> None:
        self._do("""
            UPDATE import_product s SET extra = s.extra || kept.extra
            FROM (SELECT number, jsonb_build_object(
                      CAST(:image_rows AS text),
                      jsonb_object_agg(CAST(position AS text), extra)) AS extra
                  FROM import_image WHERE extra <> '{}' GROUP BY number) kept
            WHERE kept.number = s.number
            """)

    def _place_products(self) -> None:
        """Give the file's products, in its order, the places they have; new ones come last."""
        self._do("""
            WITH places AS (
                SELECT p.position FROM product p
                JOIN import_product s ON s.product_id = p.id AND NOT s.is_new
                UNION ALL
                SELECT (SELECT coalesce(max(position), 0) FROM product)
                       + row_number() OVER (ORDER BY number)
                FROM import_product WHERE is_new),
            ranked AS (SELECT position, row_number() OVER (ORDER BY position) AS rank
                       FROM places),
            wanted AS (SELECT number, row_number() OVER (ORDER BY number) AS rank
                       FROM import_product)
            UPDATE import_product s SET position = ranked.position
            FROM ranked JOIN wanted USING (rank) WHERE wanted.number = s.number
            """)

    def _write_options(self, which: str) -> None:
        self._do(f"""
            INSERT INTO import_change
            SELECT s.number, s.line, 'changed: options are now ' || array_to_string(s.options, ', ')
            FROM import_product s WHERE {which} AND NOT s.is_new AND s.options IS DISTINCT FROM
                (SELECT array_agg(o.name ORDER BY o.position) FROM product_option o
                 WHERE o.product_id = s.product_id)
            """)
        self._do(f"""
            DELETE FROM product_option o USING import_product s
            WHERE o.product_id = s.product_id AND {which}
              AND s.options[o.position] IS DISTINCT FROM o.name
            """)
        self._do(f"""
            INSERT INTO product_option (product_id, name, position)
            SELECT s.product_id, o.name, o.position FROM import_product s
            CROSS JOIN unnest(s.options) WITH ORDINALITY AS o (name, position) WHERE {which}
            ORDER BY s.product_id, o.position
            ON CONFLICT (product_id, position) DO NOTHING
            """)

    def _write_skus(self) -> None:
        self._do("""
            INSERT INTO sku (id, code, barcode, kind, weight_grams, weight_unit, taxable, tax_code,
                             fulfillment_service, extra, created_at)
            SELECT sku_id, code, barcode, CASE WHEN ships THEN 'physical' ELSE 'digital' END,
                   weight_grams, weight_unit, taxable, tax_code, fulfillment_service, extra, :now
            FROM import_variant WHERE is_new ORDER BY line
            """)
        self._do("""
            INSERT INTO sku_inventory (sku_id, tracked, backorder, on_hand, reserved, tracker)
            SELECT sku_id, tracker <> '', backorder, on_hand, 0, tracker
            FROM import_variant WHERE is_new
            """)
        self._measure("sku", "sku_inventory")
        values = {
            column: f"v.{column}" for name, column in SKU_COLUMNS.items() if name in self._header
        }
        if "Variant Requires Shipping" in self._header:
            values["kind"] = (
                "CASE WHEN v.ships THEN 'physical' WHEN k.kind = 'physical' THEN 'digital' "
                "ELSE k.kind END"
            )
        values["extra"] = "(k.extra - CAST(:present AS text[])) || v.extra"
        self._change(
            "sku",
            "k",
            "import_variant v JOIN sku k ON k.id = v.sku_id AND NOT v.is_new",
            "v",
            values,
        )

    def _write_links(self) -> None:
        """Make the product's variants those of the file; a sku itself is never deleted."""
        gone = """FROM product_sku ps JOIN import_product s ON s.product_id = ps.product_id
            WHERE EXISTS (SELECT 1 FROM import_variant v WHERE v.product_id = ps.product_id)
              AND NOT EXISTS (SELECT 1 FROM import_variant v
                  WHERE v.product_id = ps.product_id AND v.sku_id = ps.sku_id{same})"""
        same = """ AND (v.option1, v.option2, v.option3, v.position)
                      = (ps.option1, ps.option2, ps.option3, ps.position)"""
        name = "concat_ws(' / ', {0}.option1, nullif({0}.option2, ''), nullif({0}.option3, ''))"
        self._do(f"""
            INSERT INTO import_change
            SELECT s.number, s.line, format('variant “%s” taken off the product, as the file '
                                            'has it no more', {name.format("ps")})
            {gone.format(same="")}
            """)
        # Moved links are made anew: changing them in place would trip over the unique options.
        self._do(f"""
            DELETE FROM product_sku WHERE id IN (SELECT ps.id {gone.format(same=same)})
            """)
        self._do(f"""
            WITH added AS (
                INSERT INTO product_sku (product_id, sku_id, position, option1, option2, option3)
                SELECT product_id, sku_id, position, option1, option2, option3
                FROM import_variant v WHERE NOT EXISTS (
                    SELECT 1 FROM product_sku ps
                    WHERE ps.product_id = v.product_id AND ps.sku_id = v.sku_id)
                ORDER BY line RETURNING sku_id)
            INSERT INTO import_change
            SELECT v.number, v.line,
                   format(CASE WHEN v.is_new THEN 'new variant “%s”' ELSE 'variant is now “%s”' END,
                          {name.format("v")})
            FROM added JOIN import_variant v USING (sku_id)
            JOIN import_product s ON s.number = v.number AND NOT s.is_new
            """)

    def _write_prices(self) -> None:
        unit = "coalesce(v.unit_amount, p.unit_amount)"
        compare = (
            "v.compare_at_amount"
            if "Variant Compare At Price" in self._header
            else "p.compare_at_amount"
        )
        differs = f"""{unit} IS NOT NULL AND ({unit}, {compare}, CAST(:currency AS text))
            IS DISTINCT FROM (p.unit_amount, p.compare_at_amount, p.currency)"""
        amount = "round({0} / power(10::numeric, :exponent), :exponent)"
        self._do(f"""
            INSERT INTO import_change
            SELECT v.number, v.line, format('price %s -> %s',
                coalesce(CAST({amount.format("p.unit_amount")} AS text), 'none'),
                {amount.format(unit)})
            FROM import_variant v {NEWEST_PRICE} WHERE NOT v.is_new AND {differs}
            """)
        self.prices_set = self._do(f"""
            INSERT INTO sku_price (sku_id, unit_amount, compare_at_amount, currency, in_force_at,
                                   created_at)
            SELECT v.sku_id, {unit}, {compare}, :currency, :now, :now
            FROM import_variant v {NEWEST_PRICE} WHERE {differs} ORDER BY v.line
            """)

    def _write_pictures(self) -> None:
        self.pictures_added = self._do("""
            INSERT INTO picture (source_url, state, attempts, created_at)
            SELECT url, 'pending', 0, :now FROM (
                SELECT url, min(line) AS line FROM (
                    SELECT url, line FROM import_image
                    UNION ALL SELECT image_url, line FROM import_variant WHERE image_url <> '') u
                GROUP BY url) urls
            ORDER BY line ON CONFLICT (source_url) DO NOTHING
            """)
        self._measure("picture")
        if "Image Src" in self._header:
            self._write_product_images()
        if "Variant Image" in self._header:
            self._write_sku_images()

    def _write_product_images(self) -> None:
        self._do(
            "UPDATE import_image i SET picture_id = p.id FROM picture p WHERE p.source_url = i.url"
        )
        if "Image Alt Text" not in self._header:
            self._do("""
                UPDATE import_image i SET alt = old.alt FROM product_image old
                WHERE old.product_id = i.product_id AND old.picture_id = i.picture_id
                """)
        same = """(x.product_id, x.position, x.picture_id, x.alt)
            = (i.product_id, i.position, i.picture_id, i.alt)"""
        self._do(f"""
            INSERT INTO import_change
            SELECT s.number, s.line, 'changed: pictures' FROM import_product s
            WHERE NOT s.is_new AND (
                EXISTS (SELECT 1 FROM product_image x WHERE x.product_id = s.product_id
                        AND NOT EXISTS (SELECT 1 FROM import_image i WHERE {same}))
                OR EXISTS (SELECT 1 FROM import_image i WHERE i.product_id = s.product_id
                           AND NOT EXISTS (SELECT 1 FROM product_image x WHERE {same})))
            """)
        self._do(f"""
            DELETE FROM product_image x USING import_product s
            WHERE s.product_id = x.product_id
              AND NOT EXISTS (SELECT 1 FROM import_image i WHERE {same})
            """)
        self._do("""
            INSERT INTO product_image (product_id, position, picture_id, alt)
            SELECT product_id, position, picture_id, alt FROM import_image ORDER BY line
            ON CONFLICT (product_id, position) DO NOTHING
            """)

    def _write_sku_images(self) -> None:
        wanted = """import_variant v LEFT JOIN picture p ON p.source_url = v.image_url
            LEFT JOIN sku_image x ON x.sku_id = v.sku_id"""
        differs = "p.id IS DISTINCT FROM x.picture_id"
        self._do(f"""
            INSERT INTO import_change
            SELECT v.number, v.line, 'changed: picture of the variant'
            FROM {wanted} WHERE NOT v.is_new AND {differs}
            """)
        self._do(f"""
            DELETE FROM sku_image WHERE sku_id IN (
                SELECT v.sku_id FROM {wanted} WHERE p.id IS NULL AND x.sku_id IS NOT NULL)
            """)
        self._do(f"""
            INSERT INTO sku_image (sku_id, picture_id)
            SELECT v.sku_id, p.id FROM {wanted} WHERE p.id IS NOT NULL AND {differs}
            ON CONFLICT (sku_id) DO UPDATE SET picture_id = excluded.picture_id
            """)

    def _write_stock(self, problems: Lines) -> None:
        wanted = self._wanted_stock()
        differs = """(i.tracked, i.backorder, i.on_hand, i.tracker)
            IS DISTINCT FROM (w.tracked, w.backorder, w.on_hand, w.tracker)"""
        source = f"""import_variant v JOIN sku_inventory i ON i.sku_id = v.sku_id
            CROSS JOIN LATERAL ({wanted}) w"""
        # In the order a checkout locks them, and before looking: a buyer may be reserving now.
        self._do(f"SELECT 1 FROM {source} WHERE {differs} ORDER BY i.sku_id FOR UPDATE OF i")
        find_problems(problems, PROMISED_STOCK.format(wanted=wanted))
        if problems:
            return
        self._do(f"""
            WITH changed AS (
                SELECT i.sku_id, v.product_id, v.number, v.line, i.on_hand AS before, w.*
                FROM {source} WHERE {differs}),
            written AS (
                UPDATE sku_inventory i SET tracked = c.tracked, backorder = c.backorder,
                       on_hand = c.on_hand, tracker = c.tracker
                FROM changed c WHERE c.sku_id = i.sku_id)
            INSERT INTO import_change
            SELECT number, line, CASE WHEN before <> on_hand
                THEN format('stock %s -> %s', before, on_hand)
                ELSE 'changed: how stock is tracked' END
            FROM changed
            """)

    def _wanted_stock(self) -> str:
        def either(column: str, given: str, kept: str) -> str:
            return given if column in self._header else kept

        tracker = either("Variant Inventory Tracker", "v.tracker", "i.tracker")
        tracked = either("Variant Inventory Tracker", "v.tracker <> ''", "i.tracked")
        backorder = either("Variant Inventory Policy", "v.backorder", "i.backorder")
        on_hand = either("Variant Inventory Qty", "v.on_hand", "i.on_hand")
        return (
            f"SELECT {tracker} AS tracker, {tracked} AS tracked, {backorder} AS backorder, "
            f"{on_hand} AS on_hand"
        )

    def _touch_products(self) -> None:
        """A product whose variants or pictures changed has changed; stock comes and goes."""
        self._measure("import_change")
        self._do("""
            UPDATE product p SET updated_at = :now FROM import_product s
            WHERE s.product_id = p.id AND NOT s.is_new
              AND EXISTS (SELECT 1 FROM import_change c WHERE c.number = s.number)
            """)
