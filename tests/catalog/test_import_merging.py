"""An import finds what is already on the shelf and changes only what the file says."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.catalog.conftest import ImportRows, Row, changes, further, problems, shirt
from webapp.catalog.models import (
    Picture,
    Product,
    ProductImage,
    ProductSku,
    Sku,
    SkuInventory,
    SkuKind,
    SkuPrice,
)
from webapp.catalog.services.products import rename_slug
from webapp.core import clock

FindSku = Callable[..., Sku]


def variants(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(ProductSku.option1, ProductSku.sku_id).order_by(ProductSku.position)
    )
    return dict(rows.all())


def test_a_changed_price_is_appended_to_the_history(
    session: Session, import_rows: ImportRows, find_sku: FindSku
) -> None:
    import_rows(shirt(Variant_Compare_At_Price="30"), further("M"))

    report = import_rows(shirt(Variant_Price="18.5", Variant_Compare_At_Price="30"), further("M"))

    assert changes(report) == [(2, "price 20.00 -> 18.50")]
    assert report.prices_set == 1
    again = import_rows(shirt(Variant_Price="18.5", Variant_Compare_At_Price="30"), further("M"))
    assert again.change_count == 0
    prices = find_sku("shirt", "S").prices
    assert [(p.unit_amount, p.compare_at_amount) for p in prices] == [(1850, 3000), (2000, 3000)]


def test_a_price_set_for_later_stays_set(
    session: Session, import_rows: ImportRows, find_sku: FindSku
) -> None:
    import_rows(shirt())
    session.add(
        SkuPrice(
            sku_id=find_sku("shirt", "S").id,
            unit_amount=1000,
            currency="usd",
            in_force_at=datetime.now(UTC) + timedelta(days=1),
        )
    )
    session.flush()
    assert import_rows(shirt()).change_count == 0


def test_an_empty_price_leaves_the_price_and_a_new_variant_without_one_is_told(
    import_rows: ImportRows, find_sku: FindSku
) -> None:
    import_rows(shirt())
    report = import_rows(shirt(Variant_Price=""), further("M", Variant_Price=""))
    assert report.applied
    assert report.variants_unpriced == 1
    assert [price.unit_amount for price in find_sku("shirt", "S").prices] == [2000]


def test_updated_at_moves_only_with_a_change(session: Session, import_rows: ImportRows) -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    coat = {**shirt(), "Handle": "coat"}
    with clock.frozen(start):
        import_rows(shirt(), coat)
    with clock.frozen(start + timedelta(days=1)):
        import_rows(shirt(Title="Fine shirt"), coat)
    moved = dict(session.execute(select(Product.slug, Product.updated_at)).all())
    assert moved == {"shirt": start + timedelta(days=1), "coat": start}


def test_a_variant_is_known_by_its_sku_though_its_options_changed(
    session: Session, import_rows: ImportRows
) -> None:
    import_rows(shirt(Variant_SKU="A"), further("M", Variant_SKU="B"))
    before = variants(session)
    import_rows(shirt(Option1_Value="Small", Variant_SKU="A"), further("M", Variant_SKU="B"))
    assert variants(session) == {"Small": before["S"], "M": before["M"]}


def test_two_variants_may_exchange_their_options(session: Session, import_rows: ImportRows) -> None:
    import_rows(shirt(Variant_SKU="A"), further("M", Variant_SKU="B"))
    before = variants(session)
    report = import_rows(shirt(Variant_SKU="B"), further("M", Variant_SKU="A"))
    assert report.applied
    assert variants(session) == {"S": before["M"], "M": before["S"]}


def test_a_variant_without_sku_is_known_by_its_options_and_may_be_given_one(
    session: Session, import_rows: ImportRows, find_sku: FindSku
) -> None:
    import_rows(shirt(), further("M"))
    before = variants(session)
    report = import_rows(further_first("M"), further("S", Variant_SKU="NEW"))
    assert report.applied
    assert variants(session) == {"M": before["M"], "S": before["S"]}
    assert find_sku("shirt", "S").code == "NEW"


def further_first(value: str) -> Row:
    return {**shirt(), "Option1 Value": value}


def test_a_variant_that_left_the_file_is_taken_off_but_its_sku_stays_and_may_return(
    session: Session, import_rows: ImportRows
) -> None:
    import_rows(shirt(Variant_SKU="A"), further("M", Variant_SKU="B"))
    before = variants(session)

    gone = import_rows(shirt(Variant_SKU="A"))

    assert variants(session) == {"S": before["S"]}
    assert "variant “M” taken off the product" in gone.changes[0].sentence
    assert session.get(Sku, before["M"]) is not None

    import_rows(shirt(Variant_SKU="A"), further("M", Variant_SKU="B"))
    assert variants(session) == before


def test_a_product_is_found_by_the_address_it_had(
    session: Session, import_rows: ImportRows
) -> None:
    import_rows(shirt())
    rename_slug(session.scalars(select(Product)).one(), "chemise")
    report = import_rows(shirt(Title="Better shirt"))
    assert changes(report) == [(2, "changed: title")]
    assert session.execute(select(Product.slug, Product.title)).all() == [
        ("chemise", "Better shirt")
    ]


def test_products_the_file_does_not_name_stay(session: Session, import_rows: ImportRows) -> None:
    import_rows(shirt(), {**shirt(), "Handle": "coat"})
    import_rows({**shirt(), "Handle": "hat"})
    slugs = session.scalars(select(Product.slug).order_by(Product.position)).all()
    assert slugs == ["shirt", "coat", "hat"]


def test_the_order_follows_the_file_among_its_own_products(
    session: Session, import_rows: ImportRows
) -> None:
    a, b, c = ({**shirt(), "Handle": handle} for handle in "abc")
    import_rows(a, b, c)
    import_rows(c, a)
    slugs = session.scalars(select(Product.slug).order_by(Product.position)).all()
    assert slugs == ["c", "b", "a"]
    assert import_rows(c, a).change_count == 0


def test_a_column_that_is_missing_leaves_its_values_alone(
    session: Session, import_rows: ImportRows, find_sku: FindSku
) -> None:
    import_rows(
        shirt(
            Vendor="alice & co",
            Tags="a, b",
            Variant_SKU="A",
            **{"Image Src": "https://x.example/1", "Material": "linen", "Status": "draft"},
        ),
        further("M"),
    )
    before = variants(session)

    report = import_rows({"Handle": "shirt", "Title": "Shirt", "Type": "Clothes"})

    assert changes(report) == [(2, "changed: type")]
    product = session.scalars(select(Product)).one()
    assert (product.vendor, product.tags, product.product_type) == (
        "alice & co",
        ["a", "b"],
        "Clothes",
    )
    assert product.extra["Material"] == "linen"
    assert len(product.images) == 1
    assert variants(session) == before
    assert find_sku("shirt", "S").inventory.on_hand == 5


def test_an_empty_cell_empties_the_value(session: Session, import_rows: ImportRows) -> None:
    import_rows(shirt(Vendor="alice", Tags="a", Material="linen"))
    import_rows(shirt(Vendor="", Tags="", Material=""))
    product = session.scalars(select(Product)).one()
    assert (product.vendor, product.tags, product.extra) == ("", [], {})


def test_options_can_be_renamed_added_and_removed(
    session: Session, import_rows: ImportRows
) -> None:
    import_rows(shirt(), further("M"))
    ids = variants(session)
    two = {"Option2 Name": "Colour", "Option2 Value": "Red"}
    assert import_rows({**shirt(), **two}, {**further("M"), "Option2 Value": "Red"}).applied
    product = session.scalars(select(Product)).one()
    assert [option.name for option in product.options] == ["Size", "Colour"]
    assert import_rows(shirt(Option1_Name="Width"), further("M")).applied
    session.refresh(product)
    assert [option.name for option in product.options] == ["Width"]
    assert set(variants(session)) == set(ids)


def test_pictures_are_those_of_the_file(session: Session, import_rows: ImportRows) -> None:
    def with_pictures(*names: str) -> list[Row]:
        rows: list[Row] = [
            {"Handle": "shirt", "Image Src": f"https://x.example/{name}", "Image Position": place}
            for place, name in enumerate(names, start=1)
        ]
        rows[0] |= {**shirt(), "Variant Image": f"https://x.example/{names[0]}"}
        return rows

    def now() -> list[tuple[str, int]]:
        query = select(Picture.source_url, ProductImage.position).join(
            Picture, Picture.id == ProductImage.picture_id
        )
        return [
            (url.rsplit("/", 1)[1], position)
            for url, position in session.execute(query.order_by(ProductImage.position))
        ]

    assert import_rows(*with_pictures("a", "b", "c")).pictures_added == 3
    assert now() == [("a", 1), ("b", 2), ("c", 3)]
    report = import_rows(*with_pictures("c", "a"))
    assert now() == [("c", 1), ("a", 2)]
    assert report.pictures_added == 0
    assert {sentence for _, sentence in changes(report)} == {
        "changed: pictures",
        "changed: picture of the variant",
    }


def test_the_same_picture_on_every_variant_is_one_picture(
    session: Session, import_rows: ImportRows
) -> None:
    picture = {"Image Src": "https://x.example/1", "Image Position": "1"}
    report = import_rows({**shirt(), **picture}, {**further("M"), **picture})
    assert report.applied
    assert session.scalars(select(ProductImage.position)).all() == [1]


def test_stock_follows_the_file(session: Session, import_rows: ImportRows) -> None:
    policy = {"Variant Inventory Policy": "continue"}
    import_rows(
        shirt(Variant_Inventory_Tracker=""), {**further("M", Variant_Inventory_Qty="-2"), **policy}
    )
    stock = session.scalars(select(SkuInventory).order_by(SkuInventory.sku_id)).all()
    assert [(s.tracked, s.backorder, s.on_hand) for s in stock] == [
        (False, False, 5),
        (True, True, -2),
    ]
    report = import_rows(shirt(), {**further("M", Variant_Inventory_Qty="4"), **policy})
    assert changes(report) == [(2, "changed: how stock is tracked"), (3, "stock -2 -> 4")]


def test_what_needs_no_shipping_is_digital_and_a_service_stays_one(
    session: Session, import_rows: ImportRows, find_sku: FindSku
) -> None:
    row = shirt(**{"Variant Requires Shipping": "false"})
    import_rows(row)
    assert find_sku("shirt", "S").kind is SkuKind.DIGITAL
    find_sku("shirt", "S").kind = SkuKind.SERVICE
    session.flush()
    assert import_rows(row).change_count == 0
    assert find_sku("shirt", "S").kind is SkuKind.SERVICE


def test_the_caller_decides_whether_an_import_is_kept(
    session: Session, import_rows: ImportRows
) -> None:
    savepoint = session.begin_nested()
    assert import_rows(shirt()).applied
    savepoint.rollback()
    assert session.scalars(select(Product)).all() == []
    assert problems(import_rows(shirt())) == []
