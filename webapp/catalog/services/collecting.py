"""Collections made from what the products already say of themselves."""

from collections import Counter
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from webapp.catalog.models import Collection, CollectionProduct, Product, ProductStatus
from webapp.catalog.services.products import slugify
from webapp.core import clock
from webapp.core.db import db


class By(StrEnum):
    TAG = "tag"
    TYPE = "type"


def collect_products(by: By, limit: int = 6) -> list[str]:
    """Make collections of the ``limit`` commonest tags or types of published products.

    Returns their titles, the fullest first. Done again it adds what is new and removes nothing.
    """
    value = func.unnest(Product.tags) if by is By.TAG else Product.product_type
    rows = db.session.execute(
        select(value, Product.id)
        .where(Product.status == ProductStatus.PUBLISHED)
        .order_by(Product.position, Product.id)
    ).all()
    members: dict[str, dict[int, None]] = {}
    titles: dict[str, str] = {}
    for word, product_id in rows:
        if word.strip():
            slug = slugify(word)
            titles.setdefault(slug, word[:1].upper() + word[1:])
            members.setdefault(slug, {})[product_id] = None
    sizes = Counter({slug: len(ids) for slug, ids in members.items()})
    chosen = sorted(sizes, key=lambda slug: (-sizes[slug], slug))[:limit]
    for slug in chosen:
        _fill(_find_or_make(slug, titles[slug]), list(members[slug]))
    return [titles[slug] for slug in chosen]


def _find_or_make(slug: str, title: str) -> int:
    last = select(func.coalesce(func.max(Collection.position), 0) + 1).scalar_subquery()
    db.session.execute(
        insert(Collection)
        .values(slug=slug, title=title, description="", position=last, created_at=clock.now())
        .on_conflict_do_nothing(index_elements=["slug"])
    )
    return db.session.scalars(select(Collection.id).where(Collection.slug == slug)).one()


def _fill(collection_id: int, product_ids: list[int]) -> None:
    rows = [
        {"collection_id": collection_id, "product_id": product_id, "position": place}
        for place, product_id in enumerate(product_ids, start=1)
    ]
    db.session.execute(insert(CollectionProduct).values(rows).on_conflict_do_nothing())
