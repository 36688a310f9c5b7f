"""Making, pricing, renaming, showing and counting products."""

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.catalog.errors import (
    CodeTaken,
    InvalidProduct,
    NoSuchProduct,
    NoSuchSku,
    NotForSale,
    SlugTaken,
    StockPromised,
)
from webapp.catalog.models import (
    Collection,
    CollectionProduct,
    Product,
    ProductStatus,
    SkuInventory,
    SkuPrice,
    SlugRedirect,
)
from webapp.catalog.services import products
from webapp.catalog.services.collecting import By, collect_products
from webapp.catalog.services.products import NewProduct, NewVariant


def make(title: str = "Teapot", *, code: str = "", tags: tuple[str, ...] = ()) -> Product:
    return products.create_product(
        NewProduct(title, (NewVariant(1500, code=code, on_hand=5),), tags=tags), "usd"
    )


def test_a_product_is_made_with_options_prices_and_stock(session: Session) -> None:
    product = products.create_product(
        NewProduct(
            "Crème brûlée",
            (
                NewVariant(500, ("Small", "Red"), on_hand=2),
                NewVariant(700, ("Large", "Red"), compare_at_amount=900),
            ),
            option_names=("Size", "Colour"),
        ),
        "usd",
    )
    session.expire_all()
    assert product.slug == "creme-brulee"
    assert product.status is ProductStatus.DRAFT
    assert [(v.option1, v.option2, v.position) for v in product.variants] == [
        ("Small", "Red", 1),
        ("Large", "Red", 2),
    ]
    assert product.variants[1].sku.prices[0].compare_at_amount == 900
    assert product.variants[0].sku.inventory.on_hand == 2


def test_a_product_without_options_has_shopifys_default_ones(session: Session) -> None:
    product = make()
    assert [option.name for option in product.options] == ["Title"]
    assert product.variants[0].option1 == "Default Title"


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (NewProduct("", (NewVariant(1),)), "needs a title"),
        (NewProduct("A", ()), "at least one variant"),
        (NewProduct("A", (NewVariant(1, ("S",)),)), "one value for each option"),
        (NewProduct("A", (NewVariant(1),), ("Size",)), "one value for each option: Size"),
        (NewProduct("A", (NewVariant(1, ("",)),), ("Size",)), "one value for each option"),
        (NewProduct("A", (NewVariant(1, ("S",)),) * 2, ("Size",)), "is there twice"),
        (NewProduct("A", (NewVariant(1, ("S", "S")),), ("Size", "Size")), "name of its own"),
        (NewProduct("A", (NewVariant(-1),)), "less than nothing"),
        (NewProduct("A", (NewVariant(1, weight_grams=-1),)), "weight"),
        (NewProduct("A", (NewVariant(1, on_hand=-1),)), "backorders"),
        (NewProduct("A", (NewVariant(1),), slug="a b"), "can't be an address"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    session: Session, new: NewProduct, told: str
) -> None:
    with pytest.raises(InvalidProduct, match=told):
        products.create_product(new, "usd")


def test_a_sku_names_one_thing_only(session: Session) -> None:
    make(code="T-1")
    with pytest.raises(CodeTaken, match="T-1"):
        make(code="T-1")


def test_titles_may_repeat_but_addresses_do_not(session: Session) -> None:
    assert [make().slug for _ in range(3)] == ["teapot", "teapot-2", "teapot-3"]
    with pytest.raises(SlugTaken):
        products.create_product(NewProduct("X", (NewVariant(1),), slug="teapot"), "usd")


def test_an_old_address_leads_to_the_product_through_any_number_of_renames(
    session: Session,
) -> None:
    product = make()
    for slug in ("pot", "kettle", "urn"):
        products.rename_slug(product, slug)
    redirects = dict(session.execute(select(SlugRedirect.slug, SlugRedirect.product_id)).all())
    assert redirects == dict.fromkeys(("teapot", "pot", "kettle"), product.id)

    products.rename_slug(product, "teapot")
    left = session.scalars(select(SlugRedirect.slug).order_by(SlugRedirect.slug)).all()
    assert left == ["kettle", "pot", "urn"]


def test_an_address_that_another_product_takes_redirects_no_longer(session: Session) -> None:
    first, second = make("One"), make("Two")
    products.rename_slug(first, "uno")
    products.rename_slug(second, "one")
    redirects = session.execute(select(SlugRedirect.slug, SlugRedirect.product_id)).all()
    assert redirects == [("two", second.id)]
    with pytest.raises(SlugTaken):
        products.rename_slug(first, "one")


def test_a_former_address_is_not_given_to_a_new_product_by_chance(session: Session) -> None:
    products.rename_slug(make("One"), "uno")
    assert make("One").slug == "one-2"


def test_a_price_is_appended_only_when_it_differs(session: Session) -> None:
    sku_id = make().variants[0].sku_id
    products.set_price(sku_id, 1500, None, "usd")
    products.set_price(sku_id, 1200, 1500, "usd")
    products.set_price(sku_id, 1200, 1500, "usd")
    amounts = session.scalars(
        select(SkuPrice.unit_amount).where(SkuPrice.sku_id == sku_id).order_by(SkuPrice.id)
    ).all()
    assert amounts == [1500, 1200]
    with pytest.raises(InvalidProduct):
        products.set_price(sku_id, -1, None, "usd")
    with pytest.raises(NoSuchSku):
        products.set_price(0, 1, None, "usd")


def test_only_what_has_a_price_is_published(session: Session) -> None:
    product = make()
    products.publish(product)
    assert product.status is ProductStatus.PUBLISHED
    products.unpublish(product)
    product.variants[0].sku.prices.clear()
    session.flush()
    with pytest.raises(NotForSale, match="no price yet"):
        products.publish(product)
    products.retire(product)
    assert products.get_product(product.id).status is ProductStatus.RETIRED
    with pytest.raises(NoSuchProduct):
        products.get_product(0)


def test_stock_is_not_counted_below_what_was_promised(session: Session) -> None:
    sku_id = make().variants[0].sku_id
    session.get_one(SkuInventory, sku_id).reserved = 3
    session.flush()
    with pytest.raises(StockPromised, match="3 pieces are promised"):
        products.adjust_stock(sku_id, 2, "bob")
    assert products.adjust_stock(sku_id, 3, "bob").on_hand == 3
    with pytest.raises(InvalidProduct):
        products.adjust_stock(sku_id, -1, "bob")
    with pytest.raises(NoSuchSku):
        products.adjust_stock(0, 1, "bob")


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p onclick='x()'>a</p>", "<p>a</p>"),
        ("<script>alert(1)</script>b", "b"),
        ('<img src="https://x.example/1.jpg">c', "c"),
        ('<a href="javascript:x()">d</a>', '<a rel="noopener noreferrer">d</a>'),
        ("<ul><li>e</ul>", "<ul><li>e</li></ul>"),
        ("<form action=/x><input></form>f", "f"),
    ],
)
def test_descriptions_are_shown_without_what_could_do_harm(html: str, shown: str) -> None:
    assert products.clean_html(html) == shown


def test_collections_follow_the_commonest_tags(app: Flask, session: Session) -> None:
    for title, tags in (("A", ("men",)), ("B", ("men", "new")), ("C", ("women",))):
        products.publish(make(title, tags=tags))
    make("Draft", tags=("women", "hidden"))

    assert collect_products(By.TAG, 2) == ["Men", "New"]
    assert collect_products(By.TAG, 3) == ["Men", "New", "Women"]
    result = app.test_cli_runner().invoke(args=["catalog", "collect", "--by", "type"])
    assert "0 collections" in result.output

    held = session.execute(
        select(Collection.slug, Product.title)
        .join(CollectionProduct, CollectionProduct.collection_id == Collection.id)
        .join(Product, Product.id == CollectionProduct.product_id)
        .order_by(Collection.position, CollectionProduct.position)
    ).all()
    assert held == [("men", "A"), ("men", "B"), ("new", "B"), ("women", "C")]
