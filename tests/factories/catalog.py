"""Products to sell in tests."""

from webapp.catalog.models import (
    Product,
    ProductSku,
    ProductStatus,
    Sku,
    SkuInventory,
    SkuKind,
    SkuPrice,
)
from webapp.core.db import db


def make_sku(
    title: str = "Oak Bowl",
    *,
    price: int = 2500,
    stock: int | None = 5,
    kind: SkuKind = SkuKind.PHYSICAL,
    currency: str = "usd",
    download_file: str | None = None,
) -> Sku:
    """Return the one sku of a new published product; ``stock`` None: not counted."""
    sku = Sku(
        kind=kind,
        weight_grams=400 if kind is SkuKind.PHYSICAL else 0,
        download_file=download_file,
        prices=[SkuPrice(unit_amount=price, compare_at_amount=None, currency=currency)],
        inventory=SkuInventory(tracked=stock is not None, on_hand=stock or 0),
    )
    product = Product(
        slug=f"{title.lower().replace(' ', '-')}-{db.session.query(Product).count() + 1}",
        title=title,
        status=ProductStatus.PUBLISHED,
        variants=[ProductSku(sku=sku, option1="Default Title")],
    )
    db.session.add(product)
    db.session.commit()
    return sku
