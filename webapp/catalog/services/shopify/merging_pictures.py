"""The staged pictures into the catalogue, at products and at variants."""

from webapp.catalog.services.shopify.merge import Merge


def write_pictures(merge: Merge) -> None:
    merge.pictures_added = merge.do("""
        INSERT INTO picture (source_url, state, attempts, created_at)
        SELECT url, 'pending', 0, :now FROM (
            SELECT url, min(line) AS line FROM (
                SELECT url, line FROM import_image
                UNION ALL SELECT image_url, line FROM import_variant WHERE image_url <> '') u
            GROUP BY url) urls
        ORDER BY line ON CONFLICT (source_url) DO NOTHING
        """)
    merge.measure("picture")
    if "Image Src" in merge.header:
        _write_product_images(merge)
    if "Variant Image" in merge.header:
        _write_sku_images(merge)


def _write_product_images(merge: Merge) -> None:
    merge.do(
        "UPDATE import_image i SET picture_id = p.id FROM picture p WHERE p.source_url = i.url"
    )
    if "Image Alt Text" not in merge.header:
        merge.do("""
            UPDATE import_image i SET alt = old.alt FROM product_image old
            WHERE old.product_id = i.product_id AND old.picture_id = i.picture_id
            """)
    same = """(x.product_id, x.position, x.picture_id, x.alt)
        = (i.product_id, i.position, i.picture_id, i.alt)"""
    merge.do(f"""
        INSERT INTO import_change
        SELECT s.number, s.line, 'changed: pictures' FROM import_product s
        WHERE NOT s.is_new AND (
            EXISTS (SELECT 1 FROM product_image x WHERE x.product_id = s.product_id
                    AND NOT EXISTS (SELECT 1 FROM import_image i WHERE {same}))
            OR EXISTS (SELECT 1 FROM import_image i WHERE i.product_id = s.product_id
                       AND NOT EXISTS (SELECT 1 FROM product_image x WHERE {same})))
        """)
    merge.do(f"""
        DELETE FROM product_image x USING import_product s
        WHERE s.product_id = x.product_id
          AND NOT EXISTS (SELECT 1 FROM import_image i WHERE {same})
        """)
    merge.do("""
        INSERT INTO product_image (product_id, position, picture_id, alt)
        SELECT product_id, position, picture_id, alt FROM import_image ORDER BY line
        ON CONFLICT (product_id, position) DO NOTHING
        """)


def _write_sku_images(merge: Merge) -> None:
    wanted = """import_variant v LEFT JOIN picture p ON p.source_url = v.image_url
        LEFT JOIN sku_image x ON x.sku_id = v.sku_id"""
    differs = "p.id IS DISTINCT FROM x.picture_id"
    merge.do(f"""
        INSERT INTO import_change
        SELECT v.number, v.line, 'changed: picture of the variant'
        FROM {wanted} WHERE NOT v.is_new AND {differs}
        """)
    merge.do(f"""
        DELETE FROM sku_image WHERE sku_id IN (
            SELECT v.sku_id FROM {wanted} WHERE p.id IS NULL AND x.sku_id IS NOT NULL)
        """)
    merge.do(f"""
        INSERT INTO sku_image (sku_id, picture_id)
        SELECT v.sku_id, p.id FROM {wanted} WHERE p.id IS NOT NULL AND {differs}
        ON CONFLICT (sku_id) DO UPDATE SET picture_id = excluded.picture_id
        """)
