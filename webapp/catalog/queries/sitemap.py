"""Every public address of the catalogue, in parts that a search engine accepts."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from sqlalchemy import bindparam, func, literal_column, select

from webapp.catalog.queries.parts import collection, product, product_url, published, rows

# A sitemap may list 50,000 addresses (sitemaps.org); blocks are of ids, found without counting.
BLOCK = 25_000


@dataclass(frozen=True, slots=True)
class SitemapEntry:
    path: str
    updated_at: datetime


NEWEST_PRODUCT = select(func.coalesce(func.max(product.c.id), literal_column("0")))
BLOCK_OF_PRODUCTS = (
    select(product.c.slug, product.c.updated_at)
    .where(published, product.c.id > bindparam("after"), product.c.id <= bindparam("until"))
    .order_by(product.c.id)
)
COLLECTION_SLUGS = select(collection.c.slug).order_by(collection.c.id)


def count_sitemap_blocks() -> int:
    """Return how many blocks of product ids there are."""
    newest: int = rows(NEWEST_PRODUCT)[0][0]
    return -(-newest // BLOCK)


def list_sitemap_block(number: int) -> list[SitemapEntry]:
    """Return the published products of block ``number`` (from 1)."""
    found = rows(BLOCK_OF_PRODUCTS, after=(number - 1) * BLOCK, until=number * BLOCK)
    return [SitemapEntry(product_url(slug), at) for slug, at in found]


def list_collection_paths() -> list[str]:
    return [f"/collections/{quote(slug)}" for (slug,) in rows(COLLECTION_SLUGS)]
