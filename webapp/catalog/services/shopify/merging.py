"""The staged file into the catalogue, table by table, each in a few statements over all rows.

Only rows that differ are written, so the same file twice changes nothing. What happens is noted
in ``import_change`` with the line it is on.
"""

from webapp.catalog.services.shopify.checking import check_products, check_variants
from webapp.catalog.services.shopify.matching import match_products, match_variants
from webapp.catalog.services.shopify.merge import Merge
from webapp.catalog.services.shopify.merging_pictures import write_pictures
from webapp.catalog.services.shopify.merging_products import touch_products, write_products
from webapp.catalog.services.shopify.merging_stock import write_stock
from webapp.catalog.services.shopify.merging_variants import write_links, write_prices, write_skus
from webapp.catalog.services.shopify.report import Lines


def run(merge: Merge, problems: Lines) -> None:
    """Match, check and write. With problems found, what was written must be rolled back."""
    match_products(merge)
    check_products(problems, has_title="Title" in merge.header)
    if problems:
        return
    match_variants(merge)
    check_variants(problems, has_options=not merge.has_variants or "Option1 Value" in merge.header)
    if problems:
        return
    write_products(merge)
    write_skus(merge)
    write_links(merge)
    write_prices(merge)
    if "Image Src" in merge.header or "Variant Image" in merge.header:
        write_pictures(merge)
    touch_products(merge)
    # Last, as its locks are those a checkout waits for.
    write_stock(merge, problems)
