"""What people bought, how often and for how much: questions to orders that stand.

An order belongs to the member or the prospect behind it, whatever address was typed at the
checkout; cancelled and wholly refunded ones are none.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, exists, func, or_, select

from webapp.accounts.models import Member, Prospect, User
from webapp.campaigns.services.audiences.fields import Ask, Op, Question, Takes, offer
from webapp.campaigns.services.audiences.rules import Condition
from webapp.catalog.models import (
    Collection,
    CollectionProduct,
    Product,
    ProductSku,
    Sku,
    SlugRedirect,
)
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.orders.models import Order, OrderPayment, OrderSku, OrderState

THEME = "Orders"
FALLEN_THROUGH = (OrderState.CANCELLED, OrderState.REFUNDED)
WHOSE = func.coalesce(User.email, Prospect.email, func.lower(Order.email))
# Money is compared in the shop's currency; what was paid in another doesn't count.
PAID = Order.total_amount - func.coalesce(OrderPayment.amount_refunded, 0)


def _orders(condition: Condition) -> Select[str]:
    """Return the addresses behind standing orders of the condition's days, one row an order."""
    member_id = func.coalesce(Order.member_id, Prospect.member_id)
    proven = User.email_verified_at.is_not(None)
    statement = (
        select(WHOSE.label("address"))
        .select_from(Order)
        .outerjoin(Prospect, Prospect.id == Order.prospect_id)
        .outerjoin(Member, Member.id == member_id)
        .outerjoin(User, and_(User.id == Member.user_id, proven))
        .where(Order.status.not_in(FALLEN_THROUGH))
    )
    if condition.days is not None:
        since = clock.now() - timedelta(days=condition.days)
        statement = statement.where(Order.placed_at >= since)
    return statement


def _is_among(person: Subquery, buyers: Select[Any]) -> ColumnElement[bool]:
    found = buyers.subquery()
    return exists().where(found.c.address == person.c.address).correlate(person)


def _ordered(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    orders = _orders(condition)
    if condition.op in ("at_least", "less_than"):
        orders = orders.group_by(WHOSE).having(func.count() >= condition.number)
    return _is_among(person, orders)


def _with_payments(condition: Condition) -> Select[str]:
    currency = select(Shop.currency).where(Shop.id == 1).scalar_subquery()
    return (
        _orders(condition)
        .outerjoin(OrderPayment, OrderPayment.order_id == Order.id)
        .where(Order.currency == currency)
        .group_by(WHOSE)
    )


def _spent(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    spent = func.sum(PAID) >= condition.number
    return _is_among(person, _with_payments(condition).having(spent))


def _average(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    average = func.avg(PAID)
    wanted = average >= condition.number
    if condition.op == "below":
        wanted = average < condition.number
    return _is_among(person, _with_payments(condition).having(wanted))


def _bought(skus: Any) -> Ask:
    """Return the question for orders with one of the skus that ``skus(condition)`` selects."""

    def ask(person: Subquery, condition: Condition) -> ColumnElement[bool]:
        lines = _orders(condition).join(OrderSku, OrderSku.order_id == Order.id)
        return _is_among(person, lines.where(OrderSku.sku_id.in_(skus(condition))))

    return ask


def _of_products(condition: Condition) -> Select[int]:
    # A product keeps its buyers when its address changes.
    former = select(SlugRedirect.product_id).where(SlugRedirect.slug.in_(condition.words))
    return (
        select(ProductSku.sku_id)
        .join(Product, Product.id == ProductSku.product_id)
        .where(
            or_(
                Product.id.in_(condition.numbers),
                Product.slug.in_(condition.words),
                Product.id.in_(former),
            )
        )
    )


def _of_skus(condition: Condition) -> Select[int]:
    return select(Sku.id).where(or_(Sku.id.in_(condition.numbers), Sku.code.in_(condition.words)))


def _of_collections(condition: Condition) -> Select[int]:
    named = or_(Collection.id.in_(condition.numbers), Collection.slug.in_(condition.words))
    return (
        select(ProductSku.sku_id)
        .join(CollectionProduct, CollectionProduct.product_id == ProductSku.product_id)
        .join(Collection, Collection.id == CollectionProduct.collection_id)
        .where(named)
    )


def _of_tags(condition: Condition) -> Select[int]:
    return (
        select(ProductSku.sku_id)
        .join(Product, Product.id == ProductSku.product_id)
        .where(Product.tags.overlap(condition.words))
    )


def lacking(*names: Select[str]) -> Callable[[Condition], list[str]]:
    """Return which words of a condition none of the selected names is."""

    def lacks(condition: Condition) -> list[str]:
        wanted = set(condition.words)
        for each in names:
            column = each.selected_columns[0]
            wanted -= set(db.session.scalars(each.where(column.in_(wanted))))
        return sorted(wanted)

    return lacks


def _did(words: str, never: str, takes: Takes = Takes.THINGS) -> tuple[Op, ...]:
    return (
        Op("did", words, takes, within=True),
        Op("did_not", never, takes, within=True, negates=True),
    )


QUESTIONS = (
    Question(
        "ordered",
        "Orders",
        THEME,
        (
            Op("ever", "ordered", within=True),
            Op("never", "never ordered", within=True, negates=True),
            Op("at_least", "ordered at least {value} times", Takes.NUMBER, within=True),
            Op(
                "less_than",
                "ordered less than {value} times",
                Takes.NUMBER,
                within=True,
                negates=True,
            ),
        ),
        _ordered,
    ),
    Question(
        "spent",
        "Money spent",
        THEME,
        (
            Op("at_least", "spent at least {value}", Takes.AMOUNT, within=True),
            Op("less_than", "spent less than {value}", Takes.AMOUNT, within=True, negates=True),
        ),
        _spent,
    ),
    Question(
        "average_order",
        "Average order",
        THEME,
        (
            Op("at_least", "spent at least {value} an order", Takes.AMOUNT, within=True),
            Op("below", "ordered and spent less than {value} an order", Takes.AMOUNT, within=True),
        ),
        _average,
    ),
    Question(
        "product",
        "Product",
        THEME,
        _did("bought the product {value}", "didn't buy the product {value}"),
        _bought(_of_products),
        lacks=lacking(select(Product.slug), select(SlugRedirect.slug)),
    ),
    Question(
        "sku",
        "SKU",
        THEME,
        _did("bought the SKU {value}", "didn't buy the SKU {value}"),
        _bought(_of_skus),
        lacks=lacking(select(Sku.code)),
    ),
    Question(
        "collection",
        "Collection",
        THEME,
        _did("bought from the collection {value}", "didn't buy from the collection {value}"),
        _bought(_of_collections),
        lacks=lacking(select(Collection.slug)),
    ),
    Question(
        "product_tag",
        "Tag of products",
        THEME,
        _did("bought something tagged {value}", "bought nothing tagged {value}", Takes.WORDS),
        _bought(_of_tags),
    ),
)

for _question in QUESTIONS:
    offer(_question)
