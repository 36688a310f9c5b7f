"""What the shelves show, read as plain columns: few statements, fast at 100,000 products."""

from webapp.catalog.queries.offers import Offer, list_offers
from webapp.catalog.queries.parts import (
    DEFAULT_TITLE,
    PICTURES_PATH,
    options_text,
    picture_url,
    product_url,
)
from webapp.catalog.queries.product import (
    Option,
    ProductDetail,
    Shot,
    Variant,
    Video,
    find_new_address,
)
from webapp.catalog.queries.shelf import (
    PAGE_SIZE,
    CollectionFace,
    CollectionLink,
    ProductCard,
)
from webapp.catalog.queries.sitemap import (
    SitemapEntry,
    count_sitemap_blocks,
    list_collection_paths,
    list_sitemap_block,
)

__all__ = [
    "DEFAULT_TITLE",
    "PAGE_SIZE",
    "PICTURES_PATH",
    "CollectionFace",
    "CollectionLink",
    "Offer",
    "Option",
    "ProductCard",
    "ProductDetail",
    "Shot",
    "SitemapEntry",
    "Variant",
    "Video",
    "count_sitemap_blocks",
    "find_new_address",
    "list_collection_paths",
    "list_offers",
    "list_sitemap_block",
    "options_text",
    "picture_url",
    "product_url",
]
