"""Finding the products and variants that a file's rows are about."""

from webapp.catalog.services.shopify.merge import Merge

OF_SKU = ("sku", "sku_inventory", "sku_price", "sku_image", "picture")


def match_products(merge: Merge) -> None:
    merge.measure("product", "product_option", "product_sku", "product_image", *OF_SKU)
    merge.do("UPDATE import_product s SET product_id = p.id FROM product p WHERE p.slug = s.slug")
    merge.do(
        "UPDATE import_product s SET product_id = r.product_id FROM slug_redirect r "
        "WHERE s.product_id IS NULL AND r.slug = s.slug"
    )


def match_variants(merge: Merge) -> None:
    merge.do(
        "UPDATE import_product SET is_new = true, "
        "product_id = nextval(pg_get_serial_sequence('product', 'id')) "
        "WHERE product_id IS NULL"
    )
    for table in ("import_variant", "import_image"):
        merge.do(
            f"UPDATE {table} x SET product_id = s.product_id FROM import_product s "
            "WHERE s.number = x.number"
        )
    if not merge.has_variants:
        merge.do(
            "DELETE FROM import_variant v USING import_product s "
            "WHERE s.number = v.number AND NOT s.is_new"
        )
    # A sku that no product has any more keeps its code, and returns with it.
    merge.do("""
        UPDATE import_variant v SET sku_id = k.id FROM sku k
        WHERE v.code <> '' AND k.code = v.code
          AND (EXISTS (SELECT 1 FROM product_sku ps
                       WHERE ps.sku_id = k.id AND ps.product_id = v.product_id)
               OR NOT EXISTS (SELECT 1 FROM product_sku ps WHERE ps.sku_id = k.id))
        """)
    merge.do("""
        UPDATE import_variant v SET sku_id = ps.sku_id FROM product_sku ps
        WHERE v.sku_id IS NULL AND ps.product_id = v.product_id
          AND ps.option1 = v.option1 AND ps.option2 = v.option2 AND ps.option3 = v.option3
          AND NOT EXISTS (SELECT 1 FROM import_variant t WHERE t.sku_id = ps.sku_id)
        """)
    merge.do(
        "UPDATE import_variant SET is_new = true, "
        "sku_id = nextval(pg_get_serial_sequence('sku', 'id')) WHERE sku_id IS NULL"
    )
    for column in (
        "import_product (product_id)",
        "import_variant (product_id)",
        "import_variant (sku_id)",
        "import_image (product_id)",
    ):
        merge.do(f"CREATE INDEX ON {column}")
    merge.do("ANALYZE import_product, import_variant, import_image")
