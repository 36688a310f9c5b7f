"""What Shopify wrote comes back out of the catalogue as it went in."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.catalog.conftest import REAL_FILES, ImportRows, Row, further, shirt, write_csv
from webapp.catalog.models import (
    Picture,
    Product,
    ProductImage,
    ProductSku,
    ProductStatus,
    Sku,
    SkuInventory,
    SkuPrice,
)
from webapp.catalog.services import products
from webapp.catalog.services.shopify.columns import STANDARD
from webapp.catalog.services.shopify.exporting import export_products
from webapp.catalog.services.shopify.importing import import_products
from webapp.catalog.services.shopify.report import ImportReport


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.stem)
def test_the_command_line_gives_a_real_file_back_byte_for_byte(
    app: Flask, tmp_path: Path, path: Path
) -> None:
    runner = app.test_cli_runner()
    imported = runner.invoke(args=["catalog", "import", str(path)])
    assert imported.exit_code == 0, imported.output
    assert "20 new" in imported.output or "new, 0 changed" in imported.output

    to_file = runner.invoke(args=["catalog", "export", str(tmp_path / "out.csv")])
    assert to_file.exit_code == 0, to_file.output
    # Shopify's files have no end to their last line.
    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes() + b"\r\n"
    assert runner.invoke(args=["catalog", "export"]).stdout_bytes == path.read_bytes() + b"\r\n"


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.stem)
def test_the_same_file_twice_changes_nothing(
    session: Session, import_bytes: Callable[..., ImportReport], path: Path
) -> None:
    import_bytes(path.read_bytes())
    before = _everything(session)

    again = import_bytes(path.read_bytes())

    assert again.applied
    assert (again.created, again.changed, again.change_count) == (0, 0, 0)
    assert (again.prices_set, again.pictures_added, again.variants_created) == (0, 0, 0)
    assert _everything(session) == before


def _everything(session: Session) -> list[object]:
    tables = (Product, Sku, ProductSku, SkuPrice, SkuInventory, Picture, ProductImage)
    return [
        sorted(session.execute(select(*table.__table__.columns)).all(), key=repr)
        for table in tables
    ]


def test_the_jewelery_is_told_apart_into_products_variants_and_pictures(
    session: Session, import_bytes: Callable[..., ImportReport]
) -> None:
    import_bytes(REAL_FILES[1].read_bytes())

    anchor = session.scalars(select(Product).where(Product.slug == "leather-anchor")).one()
    assert anchor.title == "Anchor Bracelet Mens"
    assert anchor.status is ProductStatus.PUBLISHED
    assert anchor.tags == ["Anchor", "Gold", "Leather", "Silver"]
    assert [option.name for option in anchor.options] == ["Color"]
    assert [variant.option1 for variant in anchor.variants] == ["Gold", "Silver"]
    prices = [variant.sku.prices[0] for variant in anchor.variants]
    assert [(price.unit_amount, price.compare_at_amount) for price in prices] == [
        (6999, 8500),
        (5500, 8500),
    ]
    assert [image.position for image in anchor.images] == [1, 2, 3]
    assert anchor.variants[0].sku.image is not None
    earrings = session.scalars(select(Product).where(Product.slug == "boho-earrings")).one()
    assert [variant.option1 for variant in earrings.variants] == ["Default Title"]
    assert earrings.variants[0].sku.weight_grams == 28
    assert earrings.variants[0].sku.weight_unit == "oz"


def test_products_stand_in_the_order_of_the_file(
    session: Session, import_bytes: Callable[..., ImportReport]
) -> None:
    content = REAL_FILES[0].read_bytes()
    import_bytes(content)

    in_file = list(
        dict.fromkeys(row["Handle"] for row in csv.DictReader(io.StringIO(content.decode())))
    )
    assert session.scalars(select(Product.slug).order_by(Product.position)).all() == in_file


def test_columns_we_have_no_use_for_are_named_and_come_back(
    import_rows: ImportRows, export_rows: Callable[[], list[dict[str, str]]]
) -> None:
    first = shirt(**{"Cost per item": "7.50", "Material": "linen", "Colour (metafield)": ""})
    rows = [
        first,
        further("M", **{"Cost per item": "8", "Material": "wool"}),
        {"Handle": "shirt", "Image Src": "https://x.example/1.jpg", "Material": "paper"},
        {
            "Handle": "shirt",
            "Image Src": "https://x.example/2.jpg",
            "Variant Weight Unit": "kg",
            "Material": "glass",
        },
    ]

    report = import_rows(*rows)

    assert report.kept_columns == ("Cost per item", "Material")
    kept = [(row["Cost per item"], row["Material"]) for row in export_rows()]
    assert kept == [("7.50", "linen"), ("8", "wool"), ("", "paper"), ("", "glass")]
    assert import_rows(*rows).change_count == 0


def test_cells_beside_a_picture_alone_come_back(
    import_rows: ImportRows, export_rows: Callable[[], list[dict[str, str]]]
) -> None:
    import_rows(
        shirt(**{"Image Src": "https://x.example/1.jpg"}),
        {
            "Handle": "shirt",
            "Image Src": "https://x.example/2.jpg",
            "Variant Weight Unit": "kg",
            "Photographer": "alice",
        },
    )

    second = export_rows()[1]
    assert second["Image Src"] == "https://x.example/2.jpg"
    assert (second["Variant Weight Unit"], second["Photographer"]) == ("kg", "alice")
    assert second["Option1 Value"] == ""


@pytest.mark.parametrize(
    ("published", "status", "means"),
    [
        ("true", "active", ProductStatus.PUBLISHED),
        ("", "", ProductStatus.PUBLISHED),
        ("false", "active", ProductStatus.DRAFT),
        ("true", "draft", ProductStatus.DRAFT),
        ("true", "archived", ProductStatus.RETIRED),
    ],
)
def test_published_and_status_together_say_whether_it_is_on_the_shelf(
    session: Session,
    import_rows: ImportRows,
    export_rows: Callable[[], list[dict[str, str]]],
    published: str,
    status: str,
    means: ProductStatus,
) -> None:
    import_rows(shirt(Published=published, Status=status))

    assert session.scalars(select(Product.status)).one() is means
    row = export_rows()[0]
    assert (row["Published"], row["Status"]) == (published, status)


def test_a_status_changed_here_is_exported_as_it_is_now(
    session: Session,
    import_rows: ImportRows,
    export_rows: Callable[[], list[dict[str, str]]],
) -> None:
    import_rows(shirt(Published="true", Status="draft"))
    products.publish(session.scalars(select(Product)).one())
    assert (export_rows()[0]["Published"], export_rows()[0]["Status"]) == ("true", "active")

    products.retire(session.scalars(select(Product)).one())
    assert (export_rows()[0]["Published"], export_rows()[0]["Status"]) == ("false", "archived")


def test_an_export_imported_again_changes_nothing_though_products_were_retired(
    session: Session,
    import_rows: ImportRows,
    import_bytes: Callable[..., ImportReport],
    export_text: Callable[[], str],
) -> None:
    import_rows(shirt(), {**shirt(), "Handle": "coat"})
    products.retire(session.scalars(select(Product).where(Product.slug == "coat")).one())

    report = import_bytes(export_text().encode())

    assert report.applied
    assert report.change_count == 0
    assert session.scalars(select(Product.status).where(Product.slug == "coat")).one() == "retired"


def test_a_file_without_status_does_not_bring_a_retired_product_back_as_a_draft(
    session: Session, import_rows: ImportRows
) -> None:
    import_rows(shirt(Published="false"))
    products.retire(session.scalars(select(Product)).one())
    assert import_rows(shirt(Published="false")).change_count == 0
    assert session.scalars(select(Product.status)).one() is ProductStatus.RETIRED


def test_a_weight_with_decimals_is_rounded_but_comes_back_as_written(
    import_rows: ImportRows,
    export_rows: Callable[[], list[dict[str, str]]],
    find_sku: Callable[..., Sku],
    session: Session,
) -> None:
    import_rows(shirt(**{"Variant Grams": "453.59237"}))
    assert find_sku("shirt", "S").weight_grams == 454
    assert export_rows()[0]["Variant Grams"] == "453.59237"

    find_sku("shirt", "S").weight_grams = 500
    session.flush()
    assert export_rows()[0]["Variant Grams"] == "500"


def test_formulas_are_exported_as_the_text_they_are(
    import_rows: ImportRows, export_rows: Callable[[], list[dict[str, str]]]
) -> None:
    import_rows(shirt(Title='=HYPERLINK("https://x.example")'))
    assert export_rows()[0]["Title"] == '=HYPERLINK("https://x.example")'


def test_a_byte_order_mark_is_no_part_of_the_first_column(
    import_bytes: Callable[..., ImportReport],
) -> None:
    report = import_bytes(b"\xef\xbb\xbf" + write_csv([shirt()]))
    assert report.applied
    assert report.created == 1


def test_prices_follow_the_decimals_of_the_currency(
    session: Session, import_bytes: Callable[..., ImportReport], export_text: Callable[[], str]
) -> None:
    assert import_bytes(write_csv([shirt(Variant_Price="1500")]), "jpy").applied
    price = session.scalars(select(SkuPrice)).one()
    assert (price.unit_amount, price.currency) == (1500, "jpy")
    assert ",1500," in export_text()
    assert not import_bytes(write_csv([shirt(Variant_Price="15.5")]), "jpy").applied


# Text that a cell may hold: anything but what a cell can't carry or a cell's edge would lose.
cell_text = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=20
)
name_text = cell_text.map(str.strip).filter(bool)
amounts = st.integers(0, 9_999_999)


def _money(amount: int) -> str:
    return str(amount // 100) if amount % 100 == 0 else f"{amount // 100}.{amount % 100:02}"


@st.composite
def catalogues(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    for number in range(draw(st.integers(1, 4))):
        rows += draw(_product(f"product-{number}"))
    return rows


@st.composite
def _product(draw: st.DrawFn, handle: str) -> list[Row]:
    options = draw(st.lists(name_text, min_size=1, max_size=3, unique=True))
    value = name_text.filter(lambda text: text != "Default Title")
    variants = draw(
        st.lists(st.tuples(*[value] * len(options)), min_size=1, max_size=4, unique=True)
    )
    images = draw(st.integers(0, 5))
    rows: list[Row] = [
        {**dict.fromkeys(STANDARD, ""), "Handle": handle} for _ in range(max(len(variants), images))
    ]
    rows[0] |= {
        "Title": draw(name_text),
        "Body (HTML)": draw(cell_text),
        "Vendor": draw(cell_text),
        "Type": draw(cell_text),
        "Tags": ", ".join(
            draw(st.lists(name_text.filter(lambda text: "," not in text), max_size=3))
        ),
        "Published": draw(st.sampled_from(["true", "false"])),
        "Gift Card": draw(st.sampled_from(["true", "false"])),
        "SEO Title": draw(cell_text),
        "SEO Description": draw(cell_text),
        "Google Shopping / MPN": draw(cell_text),
    }
    rows[0] |= {f"Option{place} Name": name for place, name in enumerate(options, start=1)}
    for place, values in enumerate(variants):
        rows[place] |= {f"Option{n} Value": value for n, value in enumerate(values, start=1)}
        rows[place] |= draw(_variant(f"{handle}/{place}"))
    for place in range(images):
        rows[place] |= {
            "Image Src": f"https://x.example/{handle}/{place}.jpg",
            "Image Position": str(place + 1),
            "Image Alt Text": draw(cell_text),
        }
    return rows


@st.composite
def _variant(draw: st.DrawFn, code: str) -> Row:
    return {
        "Variant SKU": draw(st.sampled_from(["", code])),
        "Variant Grams": str(draw(st.integers(0, 100_000))),
        "Variant Inventory Tracker": draw(st.sampled_from(["", "shopify", "warehouse"])),
        "Variant Inventory Qty": str(draw(st.integers(0, 1000))),
        "Variant Inventory Policy": draw(st.sampled_from(["deny", "continue"])),
        "Variant Fulfillment Service": draw(st.sampled_from(["manual", "depot"])),
        "Variant Price": _money(draw(amounts)),
        "Variant Compare At Price": draw(st.one_of(st.just(""), amounts.map(_money))),
        "Variant Requires Shipping": draw(st.sampled_from(["true", "false"])),
        "Variant Taxable": draw(st.sampled_from(["true", "false"])),
        "Variant Barcode": draw(cell_text),
        "Variant Image": draw(st.sampled_from(["", "https://x.example/v.jpg"])),
        "Variant Weight Unit": draw(st.sampled_from(["kg", "g", "lb", "oz"])),
        "Variant Tax Code": draw(cell_text),
    }


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=catalogues())
def test_any_catalogue_survives_the_round_trip(session: Session, rows: list[Row]) -> None:
    content = write_csv(rows, list(STANDARD))
    savepoint = session.begin_nested()
    try:
        report = import_products(io.BytesIO(content), "usd")
        assert report.problems == ()
        output = io.StringIO(newline="")
        export_products(output)
        assert output.getvalue().encode() == content
        assert import_products(io.BytesIO(content), "usd").change_count == 0
    finally:
        savepoint.rollback()


def test_memory_stays_flat_however_long_the_file_is(session: Session) -> None:
    import tracemalloc

    def peak(number: int) -> int:
        def lines() -> Iterator[bytes]:
            yield b"Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant Price\n"
            for n in range(number):
                yield f"p{number}-{n},T,{'words ' * 50},Size,S,5\n,,".encode()[:-3] + b"\n"

        tracemalloc.start()
        try:
            report = import_products(_Lines(lines()), "usd", dry_run=True)
            assert report.created == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(6_000) < 1.5 * peak(2_500)


class _Lines(io.BytesIO):
    """A file that is never whole in memory: nothing of it is in the buffer it pretends to be."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        super().__init__()
        self._lines = lines

    def readline(self, size: int | None = -1, /) -> bytes:
        return next(self._lines, b"")


def test_progress_is_told_on_the_way(app: Flask, tmp_path: Path) -> None:
    rows: list[Row] = [{"Handle": f"p{n}", "Title": "T"} for n in range(11_000)]
    path = tmp_path / "many.csv"
    path.write_bytes(write_csv(rows))

    result = app.test_cli_runner().invoke(args=["catalog", "import", str(path), "--dry-run"])

    assert result.exit_code == 0, result.output
    assert "rows read" in result.stderr
    assert "11,000 new" in result.stdout
    assert "this was a dry run" in result.stdout


def test_an_empty_catalogue_exports_the_columns_alone(
    export_text: Callable[[], str], session: Session
) -> None:
    assert export_text() == ",".join(STANDARD) + "\r\n"
    assert session.scalar(select(func.count(Product.id))) == 0
