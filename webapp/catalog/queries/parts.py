"""The tables, and the parts that several statements about them share."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import (
    DateTime,
    Executable,
    ScalarSelect,
    Table,
    bindparam,
    case,
    func,
    lateral,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from webapp.catalog import models
from webapp.core.db import Base, db


def table(model: type[Base]) -> Table:
    """Return a model's table: statements over it give plain rows, without the cost of entities."""
    return cast(Table, model.__table__)


product = table(models.Product)
product_option = table(models.ProductOption)
product_sku = table(models.ProductSku)
product_image = table(models.ProductImage)
product_video = table(models.ProductVideo)
sku = table(models.Sku)
sku_image = table(models.SkuImage)
sku_inventory = table(models.SkuInventory)
sku_price = table(models.SkuPrice)
picture = table(models.Picture)
slug_redirect = table(models.SlugRedirect)
collection = table(models.Collection)
collection_product = table(models.CollectionProduct)

PICTURES_PATH = "/media/pictures/"
DEFAULT_TITLE = "Default Title"


@lru_cache(maxsize=8192)
def product_url(slug: str) -> str:
    """Return a product's path; ``url_for`` costs too much for every card of a shelf."""
    return f"/products/{quote(slug)}"


def picture_url(file_name: str | None) -> str | None:
    """Return the path of our copy of a picture, None for one that isn't fetched yet."""
    return PICTURES_PATH + file_name if file_name else None


def options_text(values: Iterable[str]) -> str:
    """Return ``("Large", "Blue", "")`` as ``Large / Blue``; a product's only variant has none."""
    return " / ".join(value for value in values if value and value != DEFAULT_TITLE)


def rows(statement: Executable, **values: object) -> list[Any]:
    """Return the rows of a statement over tables, sent past the session's entity machinery."""
    return list(db.session.connection().execute(statement, values))


def hidden(name: str, type_: TypeEngine[Any]) -> ScalarSelect[Any]:
    """Return a parameter that Postgres' planner can't look into.

    Planning a shelf costs more than running it. Postgres plans a prepared statement anew for each
    value as long as that looks cheaper; when all values look the same it keeps the first plan.
    """
    return select(bindparam(name, type_=type_)).scalar_subquery()


ONE: ColumnElement[int] = literal_column("1")
# Literals, as a partial index can't serve a parameter.
published = product.c.status == literal_column("'published'")
fetched = picture.c.state == literal_column("'fetched'")
file_name: ColumnElement[str | None] = case((fetched, picture.c.file_name))

# The newest price in force of the sku at hand; without one it can't be sold.
price = lateral(
    select(sku_price.c.unit_amount, sku_price.c.compare_at_amount, sku_price.c.currency)
    .where(
        sku_price.c.sku_id == product_sku.c.sku_id,
        sku_price.c.in_force_at <= hidden("now", DateTime(timezone=True)),
    )
    .order_by(sku_price.c.in_force_at.desc(), sku_price.c.id.desc())
    .limit(ONE),
    name="price",
)

# None: nothing limits it. A sku without a row of stock has none.
available = case(
    (or_(sku_inventory.c.backorder, ~sku_inventory.c.tracked), null()),
    else_=func.greatest(
        func.coalesce(sku_inventory.c.on_hand - sku_inventory.c.reserved, literal_column("0")),
        literal_column("0"),
    ),
)

own_picture = (
    select(picture.c.file_name)
    .join(sku_image, sku_image.c.picture_id == picture.c.id)
    .where(sku_image.c.sku_id == product_sku.c.sku_id, fetched)
    .scalar_subquery()
)
