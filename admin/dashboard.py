"""The start page: how the shop does today, and what waits for a person."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from flask import url_for
from flask_admin import expose
from sqlalchemy import Date, cast, func, literal_column, select

from admin.base import Guarded
from admin.campaigns.outcomes import percent
from admin.campaigns.today import latest
from webapp.billing.models import Subscription
from webapp.billing.queries.numbers import monthly
from webapp.billing.queries.numbers.recovery import risks_at
from webapp.catalog.models import Product, ProductSku, ProductStatus, SkuInventory
from webapp.core import clock
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.orders.models import Order

DAYS = 14
LOW_STOCK = 3
LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Day:
    """The orders of one day (UTC) and what they came to in the shop's currency."""

    on: date
    orders: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class LowStock:
    product_id: int
    title: str
    options: str
    left: int


def sales_by_day(currency: str, days: int = DAYS) -> list[Day]:
    """Return the last ``days`` days, oldest first, also those without a sale."""
    today = clock.now().date()
    first = today - timedelta(days=days - 1)
    since = datetime.combine(first, time.min, clock.now().tzinfo)
    day = cast(func.timezone("UTC", Order.placed_at), Date)
    rows = db.session.execute(
        select(day, func.count(), func.coalesce(func.sum(Order.total_amount), 0))
        .where(Order.placed_at >= since, Order.currency == currency)
        .group_by(literal_column("1"))
    )
    found = {on: Day(on, orders, int(amount)) for on, orders, amount in rows}
    return [found.get(on, Day(on)) for on in (first + timedelta(days=n) for n in range(days))]


def low_stock(show: int = 6) -> tuple[int, list[LowStock]]:
    """Return how many published, counted variants are nearly gone, and those with the least."""
    left = SkuInventory.on_hand - SkuInventory.reserved
    nearly = (
        select(SkuInventory.sku_id, left.label("left"))
        .where(SkuInventory.tracked, ~SkuInventory.backorder, left <= LOW_STOCK)
        .limit(LOOKED_AT)
        .subquery()
    )
    rows = db.session.execute(
        select(
            Product.id,
            Product.title,
            ProductSku.option1,
            ProductSku.option2,
            ProductSku.option3,
            nearly.c.left,
            func.count().over(),
        )
        .join(ProductSku, ProductSku.sku_id == nearly.c.sku_id)
        .join(Product, Product.id == ProductSku.product_id)
        .where(Product.status == ProductStatus.PUBLISHED)
        .order_by(nearly.c.left, Product.id, ProductSku.position)
        .limit(show)
    ).all()
    listed = [LowStock(row[0], row[1], options_of(row[2], row[3], row[4]), row[5]) for row in rows]
    return (rows[0][6] if rows else 0), listed


@dataclass(frozen=True, slots=True)
class Recurring:
    """What living subscriptions are worth a month in the shop's currency, and how many count."""

    amount: int
    subscriptions: int


def recurring(currency: str) -> Recurring:
    """Return the MRR as it is at this moment; the numbers' rooms tell of any other day."""
    annual, count = db.session.execute(
        select(func.coalesce(func.sum(Subscription.annual_amount), 0), func.count()).where(
            Subscription.annual_amount > 0,
            Subscription.currency == currency,
            ~Subscription.duplicate,
        )
    ).one()
    return Recurring(monthly(int(annual)), count)


def options_of(*values: str) -> str:
    """Return ``Large / Blue``; Shopify's name for a product's only variant is left out."""
    return " / ".join(value for value in values if value and value != "Default Title")


class Dashboard(Guarded):
    """The door of the back office."""

    def __init__(self) -> None:
        super().__init__("Today", endpoint="admin", url="/admin", menu_icon_value="chart")

    @expose("/")
    def index(self) -> str:
        shop = get_shop()
        days = sales_by_day(shop.currency)
        low_count, low = low_stock()
        recent = db.session.scalars(select(Order).order_by(Order.id.desc()).limit(8)).all()
        return self.render(
            "admin/index.html",
            days=days,
            today=days[-1],
            yesterday=days[-2],
            low_count=low_count,
            low=low,
            recent=recent,
            recurring=recurring(shop.currency),
            at_risk=risks_at(clock.now()),
            campaigns=latest(),
            percent=percent,
            order_url=lambda order: url_for("admin_orders.details_view", id=order.id),
        )
