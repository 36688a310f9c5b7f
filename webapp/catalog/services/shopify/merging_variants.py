"""The staged variants into the catalogue: skus, their places in products, their prices."""

from webapp.catalog.services.shopify.merge import Merge

SKU_COLUMNS = {
    "Variant SKU": "code",
    "Variant Barcode": "barcode",
    "Variant Grams": "weight_grams",
    "Variant Weight Unit": "weight_unit",
    "Variant Taxable": "taxable",
    "Variant Tax Code": "tax_code",
    "Variant Fulfillment Service": "fulfillment_service",
}
NEWEST_PRICE = """LEFT JOIN LATERAL (
    SELECT unit_amount, compare_at_amount, currency FROM sku_price
    WHERE sku_id = v.sku_id AND in_force_at <= :now
    ORDER BY in_force_at DESC, id DESC LIMIT 1) p ON true"""


def write_skus(merge: Merge) -> None:
    merge.do("""
        INSERT INTO sku (id, code, barcode, kind, weight_grams, weight_unit, taxable, tax_code,
                         fulfillment_service, extra, created_at)
        SELECT sku_id, code, barcode, CASE WHEN ships THEN 'physical' ELSE 'digital' END,
               weight_grams, weight_unit, taxable, tax_code, fulfillment_service, extra, :now
        FROM import_variant WHERE is_new ORDER BY line
        """)
    merge.do("""
        INSERT INTO sku_inventory (sku_id, tracked, backorder, on_hand, reserved, tracker)
        SELECT sku_id, tracker <> '', backorder, on_hand, 0, tracker
        FROM import_variant WHERE is_new
        """)
    merge.measure("sku", "sku_inventory")
    values = {column: f"v.{column}" for name, column in SKU_COLUMNS.items() if name in merge.header}
    if "Variant Requires Shipping" in merge.header:
        values["kind"] = (
            "CASE WHEN v.ships THEN 'physical' WHEN k.kind = 'physical' THEN 'digital' "
            "ELSE k.kind END"
        )
    values["extra"] = "(k.extra - CAST(:present AS text[])) || v.extra"
    merge.change(
        "sku",
        "k",
        "import_variant v JOIN sku k ON k.id = v.sku_id AND NOT v.is_new",
        "v",
        values,
    )


def write_links(merge: Merge) -> None:
    """Make the product's variants those of the file; a sku itself is never deleted."""
    gone = """FROM product_sku ps JOIN import_product s ON s.product_id = ps.product_id
        WHERE EXISTS (SELECT 1 FROM import_variant v WHERE v.product_id = ps.product_id)
          AND NOT EXISTS (SELECT 1 FROM import_variant v
              WHERE v.product_id = ps.product_id AND v.sku_id = ps.sku_id{same})"""
    same = """ AND (v.option1, v.option2, v.option3, v.position)
                  = (ps.option1, ps.option2, ps.option3, ps.position)"""
    name = "concat_ws(' / ', {0}.option1, nullif({0}.option2, ''), nullif({0}.option3, ''))"
    merge.do(f"""
        INSERT INTO import_change
        SELECT s.number, s.line, format('variant “%s” taken off the product, as the file '
                                        'has it no more', {name.format("ps")})
        {gone.format(same="")}
        """)
    # Moved links are made anew: changing them in place would trip over the unique options.
    merge.do(f"""
        DELETE FROM product_sku WHERE id IN (SELECT ps.id {gone.format(same=same)})
        """)
    merge.do(f"""
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


def write_prices(merge: Merge) -> None:
    unit = "coalesce(v.unit_amount, p.unit_amount)"
    compare = (
        "v.compare_at_amount"
        if "Variant Compare At Price" in merge.header
        else "p.compare_at_amount"
    )
    differs = f"""{unit} IS NOT NULL AND ({unit}, {compare}, CAST(:currency AS text))
        IS DISTINCT FROM (p.unit_amount, p.compare_at_amount, p.currency)"""
    amount = "round({0} / power(10::numeric, :exponent), :exponent)"
    merge.do(f"""
        INSERT INTO import_change
        SELECT v.number, v.line, format('price %s -> %s',
            coalesce(CAST({amount.format("p.unit_amount")} AS text), 'none'),
            {amount.format(unit)})
        FROM import_variant v {NEWEST_PRICE} WHERE NOT v.is_new AND {differs}
        """)
    merge.prices_set = merge.do(f"""
        INSERT INTO sku_price (sku_id, unit_amount, compare_at_amount, currency, in_force_at,
                               created_at)
        SELECT v.sku_id, {unit}, {compare}, :currency, :now, :now
        FROM import_variant v {NEWEST_PRICE} WHERE {differs} ORDER BY v.line
        """)
