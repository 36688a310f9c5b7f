"""What only the whole file, or the file beside the catalogue, can tell to be wrong."""

from typing import Any

from sqlalchemy import text

from webapp.catalog.services.shopify.columns import DEFAULT_VALUE
from webapp.catalog.services.shopify.report import LIMIT, Lines
from webapp.core.db import db

# Each selects (line, sentence).
REPEATED_HANDLES = """
SELECT line, format('Handle “%s” was already used from line %s on; the rows of a product must '
                    'follow one another.', slug, first) AS sentence
FROM (SELECT line, slug, first_value(line) OVER (PARTITION BY slug ORDER BY line) AS first
      FROM import_product) repeated
WHERE line <> first
"""
REPEATED_OPTIONS = """
SELECT line, format('The variant “%s” of this product is already on line %s.',
                    concat_ws(' / ', option1, nullif(option2, ''), nullif(option3, '')), first)
       AS sentence
FROM (SELECT *, first_value(line) OVER (
          PARTITION BY number, option1, option2, option3 ORDER BY line) AS first
      FROM import_variant) repeated
WHERE line <> first
"""
REPEATED_CODES = """
SELECT line, format('Variant SKU “%s” is already on line %s; each SKU names one thing only.',
                    code, first) AS sentence
FROM (SELECT line, code, first_value(line) OVER (PARTITION BY code ORDER BY line) AS first
      FROM import_variant WHERE code <> '') repeated
WHERE line <> first
"""
SAME_PRODUCT_TWICE = """
SELECT line, format('“%s” is another address of the product on line %s; keep one of them.',
                    slug, first) AS sentence
FROM (SELECT line, slug, first_value(line) OVER (PARTITION BY product_id ORDER BY line) AS first
      FROM import_product WHERE product_id IS NOT NULL) repeated
WHERE line <> first
"""
NEW_WITHOUT_TITLE = """
SELECT line, format('There is no product “%s” yet, and a new one needs the column “Title”.', slug)
       AS sentence
FROM import_product WHERE product_id IS NULL
"""
CODE_OF_ANOTHER_PRODUCT = """
SELECT v.line, format('Variant SKU “%s” belongs to the product “%s”.', v.code, min(p.slug))
       AS sentence
FROM import_variant v
JOIN sku k ON k.code = v.code
JOIN product_sku ps ON ps.sku_id = k.id
JOIN product p ON p.id = ps.product_id
WHERE v.code <> '' AND k.id <> v.sku_id
GROUP BY v.line, v.code
"""
# Shopify deletes the variants of such a product; that is never what the file's maker wants.
VARIANTS_WITHOUT_OPTION_COLUMNS = """
SELECT s.line, format('“%s” has variants; add the columns “Option1 Name” and “Option1 Value” to '
                      'change them, or leave out all columns of variants.', s.slug) AS sentence
FROM import_product s
WHERE EXISTS (SELECT 1 FROM product_sku ps
              WHERE ps.product_id = s.product_id AND ps.option1 <> :default_value)
"""
PROMISED_STOCK = """
SELECT v.line, format('Variant Inventory Qty is %s, but %s of %s are promised to buyers who are '
                      'paying now.', w.on_hand, i.reserved,
                      coalesce(nullif(v.code, ''), concat_ws(' / ', v.option1,
                               nullif(v.option2, ''), nullif(v.option3, '')))) AS sentence
FROM import_variant v
JOIN sku_inventory i ON i.sku_id = v.sku_id
CROSS JOIN LATERAL ({wanted}) w
WHERE w.tracked AND NOT w.backorder AND w.on_hand < greatest(i.reserved, 0)
"""


def find_problems(problems: Lines, query: str, **values: Any) -> None:
    """Add what ``query`` selects, the first ones only but counting all."""
    limited = (
        f"SELECT line, sentence, count(*) OVER () AS total FROM ({query}) q "
        "ORDER BY line LIMIT :most"
    )
    rows = db.session.execute(text(limited), {"most": LIMIT, **values}).all()
    for line, sentence, _ in rows:
        problems.add(line, sentence)
    if rows:
        problems.count += rows[0].total - len(rows)


def check_file(problems: Lines) -> None:
    """Tell which lines of the file contradict one another."""
    for query in (REPEATED_HANDLES, REPEATED_OPTIONS, REPEATED_CODES):
        find_problems(problems, query)


def check_products(problems: Lines, *, has_title: bool) -> None:
    """Tell which products can't be matched with the catalogue's."""
    find_problems(problems, SAME_PRODUCT_TWICE)
    if not has_title:
        find_problems(problems, NEW_WITHOUT_TITLE)


def check_variants(problems: Lines, *, has_options: bool) -> None:
    """Tell which variants can't be matched with the catalogue's."""
    find_problems(problems, CODE_OF_ANOTHER_PRODUCT)
    if not has_options:
        find_problems(problems, VARIANTS_WITHOUT_OPTION_COLUMNS, default_value=DEFAULT_VALUE)
