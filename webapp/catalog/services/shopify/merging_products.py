"""The staged products into the catalogue, with their options and places."""

from webapp.catalog.services.shopify.merge import Merge

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
# A file that says what we'd write ourselves for a product's status leaves nothing to keep.
CANONICAL_STATUS = """(
    s.extra @> '{"Published": "true", "Status": "active"}'
    OR s.extra @> '{"Published": "false", "Status": "draft"}'
    OR s.extra @> '{"Published": "false", "Status": "archived"}')"""


def write_products(merge: Merge) -> None:
    _gather_image_rows(merge)
    _place_products(merge)
    merge.do("""
        INSERT INTO product (id, slug, title, body_html, vendor, product_type, tags, status,
                             position, seo_title, seo_description, gift_card, extra,
                             created_at, updated_at)
        SELECT product_id, slug, title, body_html, vendor, product_type, tags, status,
               position, seo_title, seo_description, gift_card, extra, :now, :now
        FROM import_product WHERE is_new ORDER BY number
        """)
    merge.measure("product")
    merge.do("""
        INSERT INTO import_change
        SELECT number, line, format('new product “%s”', slug)
        FROM import_product WHERE is_new
        """)
    merge.change(
        "product",
        "p",
        "import_product s JOIN product p ON p.id = s.product_id AND NOT s.is_new",
        "s",
        _product_values(merge),
    )
    if "Option1 Name" in merge.header:
        _write_options(merge, "true")
    else:
        _write_options(merge, "s.is_new")


def _product_values(merge: Merge) -> dict[str, str]:
    values = {
        column: f"s.{column}" for name, column in PRODUCT_COLUMNS.items() if name in merge.header
    }
    if "Status" in merge.header:
        values["status"] = "s.status"
    elif "Published" in merge.header:
        # Published alone can't tell retired from draft.
        values["status"] = (
            "CASE WHEN p.status = 'retired' AND s.status = 'draft' THEN p.status ELSE s.status END"
        )
    values["position"] = "s.position"
    values["extra"] = (
        "(p.extra - CAST(:present AS text[])) || CASE WHEN p.extra ? 'Status' OR NOT "
        f"{CANONICAL_STATUS} THEN s.extra ELSE s.extra - 'Status' - 'Published' END"
    )
    return values


def _gather_image_rows(merge: Merge) -> None:
    merge.do("""
        UPDATE import_product s SET extra = s.extra || kept.extra
        FROM (SELECT number, jsonb_build_object(
                  CAST(:image_rows AS text),
                  jsonb_object_agg(CAST(position AS text), extra)) AS extra
              FROM import_image WHERE extra <> '{}' GROUP BY number) kept
        WHERE kept.number = s.number
        """)


def _place_products(merge: Merge) -> None:
    """Give the file's products, in its order, the places they have; new ones come last."""
    merge.do("""
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


def _write_options(merge: Merge, which: str) -> None:
    merge.do(f"""
        INSERT INTO import_change
        SELECT s.number, s.line, 'changed: options are now ' || array_to_string(s.options, ', ')
        FROM import_product s WHERE {which} AND NOT s.is_new AND s.options IS DISTINCT FROM
            (SELECT array_agg(o.name ORDER BY o.position) FROM product_option o
             WHERE o.product_id = s.product_id)
        """)
    merge.do(f"""
        DELETE FROM product_option o USING import_product s
        WHERE o.product_id = s.product_id AND {which}
          AND s.options[o.position] IS DISTINCT FROM o.name
        """)
    merge.do(f"""
        INSERT INTO product_option (product_id, name, position)
        SELECT s.product_id, o.name, o.position FROM import_product s
        CROSS JOIN unnest(s.options) WITH ORDINALITY AS o (name, position) WHERE {which}
        ORDER BY s.product_id, o.position
        ON CONFLICT (product_id, position) DO NOTHING
        """)


def touch_products(merge: Merge) -> None:
    """A product whose variants or pictures changed has changed; stock comes and goes."""
    merge.measure("import_change")
    merge.do("""
        UPDATE product p SET updated_at = :now FROM import_product s
        WHERE s.product_id = p.id AND NOT s.is_new
          AND EXISTS (SELECT 1 FROM import_change c WHERE c.number = s.number)
        """)
