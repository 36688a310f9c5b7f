"""A file with anything wrong is told line by line, and nothing of it is imported."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from tests.catalog.conftest import ImportRows, Row, further, problems, shirt, write_csv
from webapp.catalog.errors import ImportRunning
from webapp.catalog.models import Product, Sku, SkuInventory, SkuPrice
from webapp.catalog.services.products import rename_slug
from webapp.catalog.services.shopify.report import ImportReport
from webapp.core.db import db

ImportBytes = Callable[..., ImportReport]


def count(session: Session) -> tuple[int | None, ...]:
    return tuple(session.scalar(select(func.count()).select_from(t)) for t in (Product, Sku))


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"Variant Price": "cheap"}, "Variant Price: 'cheap' is not an amount"),
        ({"Variant Price": "-5"}, "not an amount of 0 or more"),
        ({"Variant Price": "1.234,50"}, "not an amount"),
        ({"Variant Price": "1.005"}, "more decimals than USD"),
        ({"Variant Price": "1e9"}, "more than a single payment"),
        ({"Variant Price": "NaN"}, "not an amount"),
        ({"Variant Price": "", "Variant Compare At Price": "5"}, "but Variant Price is empty"),
        ({"Variant Inventory Qty": "many"}, "“many” is not a whole number"),
        ({"Variant Inventory Qty": "1.5"}, "“1.5” is not a whole number"),
        ({"Variant Inventory Qty": "-1"}, "needs the Variant Inventory Policy “continue”"),
        ({"Variant Inventory Policy": "maybe"}, "it can be deny, continue"),
        ({"Variant Grams": "-3"}, "not a weight"),
        ({"Variant Weight Unit": "stone"}, "it can be kg, g, lb, oz"),
        ({"Published": "perhaps"}, "write true or false"),
        ({"Status": "sleeping"}, "it can be active, draft, archived"),
        ({"Image Src": "photo.jpg"}, "not a web address"),
        ({"Image Src": "file:///etc/passwd"}, "not a web address"),
        ({"Image Src": "https://[broken"}, "not a web address"),
        ({"Image Src": "https://x.example/a", "Image Position": "0"}, "must be 1 or more"),
        ({"Option2 Name": "", "Option2 Value": "Red"}, "no Option2 Name"),
        ({"Option1 Name": ""}, "Option1 Name is empty"),
        ({"Option1 Value": ""}, "Option1 Value (Size) is empty"),
        ({"Option2 Name": "Size", "Option2 Value": "M"}, "Two options of the product"),
        ({"Title": ""}, "needs a Title"),
        ({"Title": "x" * 256}, "longer than 255"),
        ({"Tags": "x" * 256}, "A tag is longer"),
        ({"Handle": ""}, "no Handle"),
        ({"Handle": "a b"}, "can't be part of an address"),
        ({"Handle": "../x"}, "can't be part of an address"),
        ({"Vendor": "a\0b"}, "zero byte"),
    ],
)
def test_a_bad_cell_is_told_with_its_line(
    session: Session, import_rows: ImportRows, cells: Row, told: str
) -> None:
    good = {**shirt(), "Handle": "good", "Body (HTML)": "two\nlines"}

    report = import_rows(good, {**shirt(), **cells})

    assert [(line, told in sentence) for line, sentence in problems(report)] == [(4, True)], (
        problems(report)
    )
    assert not report.applied
    assert count(session) == (0, 0)


def test_every_line_that_is_wrong_is_told_at_once(import_rows: ImportRows) -> None:
    report = import_rows(
        shirt(Variant_Price="x"), further("M", Variant_Price="y"), further("L", Variant_Grams="z")
    )
    assert [line for line, _ in problems(report)] == [2, 3, 4]


def test_a_handle_whose_rows_do_not_follow_one_another_is_refused(
    session: Session, import_rows: ImportRows
) -> None:
    report = import_rows(shirt(), {**shirt(), "Handle": "coat"}, shirt(Option1_Value="M"))
    [(line, sentence)] = problems(report)
    assert line == 4
    assert "“shirt” was already used from line 2 on" in sentence
    assert count(session) == (0, 0)


def test_the_same_options_twice_are_refused(import_rows: ImportRows) -> None:
    report = import_rows(shirt(), further("M"), further("M"))
    assert problems(report) == [(4, "The variant “M” of this product is already on line 3.")]


def test_a_product_listed_twice_in_a_row_is_refused(import_rows: ImportRows) -> None:
    report = import_rows(shirt(), shirt(Title="Another shirt"))
    told = " ".join(sentence for _, sentence in problems(report))
    assert "Title is “Another shirt” here but “Shirt” on line 2" in told


def test_the_same_sku_twice_is_refused(import_rows: ImportRows) -> None:
    report = import_rows(shirt(Variant_SKU="A"), further("M", Variant_SKU="A"))
    [(line, sentence)] = problems(report)
    assert (line, "already on line 2" in sentence) == (3, True)


def test_a_sku_of_another_product_is_refused(session: Session, import_rows: ImportRows) -> None:
    import_rows(shirt(Variant_SKU="A"))
    report = import_rows({**shirt(Variant_SKU="A"), "Handle": "coat"})
    assert problems(report) == [(2, "Variant SKU “A” belongs to the product “shirt”.")]
    assert count(session) == (1, 1)


def test_a_variant_is_not_given_the_sku_of_another_product(
    session: Session, import_rows: ImportRows
) -> None:
    coat = {**shirt(), "Handle": "coat"}
    import_rows(shirt(Variant_SKU="A"), coat)
    report = import_rows({**coat, "Variant SKU": "A"})
    assert problems(report) == [(2, "Variant SKU “A” belongs to the product “shirt”.")]


def test_an_option_value_without_the_option_is_told_where_it_stands(
    import_rows: ImportRows,
) -> None:
    report = import_rows(
        {**shirt(), "Option2 Name": "", "Option2 Value": ""},
        {**further("M"), "Option2 Value": "Red"},
    )
    [(line, sentence)] = problems(report)
    assert line == 3
    assert "Option2 Value is “Red” but the product has no Option2 Name (line 2)" in sentence


def test_another_option_name_in_a_later_row_is_refused(import_rows: ImportRows) -> None:
    report = import_rows(shirt(), {**further("M"), "Option1 Name": "Colour"})
    [(line, sentence)] = problems(report)
    assert (line, "Option1 Name is “Colour” here" in sentence) == (3, True)


def test_two_pictures_in_one_place_are_refused(import_rows: ImportRows) -> None:
    report = import_rows(
        shirt(**{"Image Src": "https://x.example/1", "Image Position": "1"}),
        further("M", **{"Image Src": "https://x.example/2", "Image Position": "1"}),
    )
    assert [line for line, _ in problems(report)] == [3]


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        (b"", 1, "The file is empty"),
        (b"\r\n\r\n", 1, "The file is empty"),
        (b"Title,Vendor\nA,B\n", 1, "no column “Handle”"),
        (b"Handle;Title\na;b\n", 1, "separated by semicolons"),
        (b"Handle\tTitle\na\tb\n", 1, "separated by tabs"),
        (b"Handle,Title,Title\na,b,c\n", 1, "two columns named “Title”"),
        (b"Handle,Title,\na,b,c\n", 1, "Column 3 has no name"),
        (b"Handle,Title,Option2 Value\na,b,c\n", 1, "none named “Option2 Name”"),
        (b"Handle,Title\na,b,c\n", 2, "The row has 3 cells, the header has 2"),
        (b"Handle,Title\na\n", 2, "The row has 1 cells"),
        (b'Handle,Title\na,b\nc,"d\ne,f\n', 3, "never closed"),
        (b'Handle,Title\na,b\nc,"d"e\n', 3, "text after a closing quote"),
        (b"Handle,Title\ra,b\rc,d\r", 1, "an old Mac's way"),
        ("Handle,Title\na,b\n".encode("utf-16"), 1, "UTF-16"),
        (b"Handle,Title\n\na,Caf\xe9\n", 3, "Byte 6 of this line (0xE9) isn't UTF-8"),
        (b'Handle,Title\na,"b\n\xff"\n', 3, "Byte 1 of this line (0xFF)"),
        (b'Handle,Title\na,"' + b"x" * 1_000_001, 2, "longer than 1,000,000 characters"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), 1, "isn't UTF-8"),
    ],
)
def test_a_file_that_is_no_product_csv_is_told_why(
    session: Session, import_bytes: ImportBytes, content: bytes, line: int, told: str
) -> None:
    report = import_bytes(content)
    first = problems(report)[0]
    assert first[0] == line, problems(report)
    assert told in first[1]
    assert count(session) == (0, 0)


def test_only_the_first_hundred_problems_are_listed_and_all_are_counted(
    import_rows: ImportRows,
) -> None:
    report = import_rows(*[{"Handle": f"p{n}", "Title": ""} for n in range(350)])
    assert report.problem_count == 350
    assert [line for line, _ in problems(report)] == list(range(2, 102))

    same = import_rows(*[shirt(), *[further("M") for _ in range(250)]])
    assert same.problem_count == 249
    assert len(same.problems) == 100


def test_the_last_row_can_spoil_the_whole_file(session: Session, import_rows: ImportRows) -> None:
    many: list[Row] = [{**shirt(), "Handle": f"p{n}"} for n in range(5000)]
    report = import_rows(*many, {**shirt(), "Handle": "last", "Variant Price": "x"})
    assert [line for line, _ in problems(report)] == [5002]
    assert count(session) == (0, 0)


def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    app: Flask, session: Session, import_rows: ImportRows, tmp_path: object
) -> None:
    import_rows(shirt())
    before = session.execute(select(SkuPrice.id, SkuPrice.unit_amount)).all()

    report = import_rows(shirt(Variant_Price="25"), {**shirt(), "Handle": "coat"}, dry_run=True)

    assert not report.applied
    assert [(item.line, item.sentence) for item in report.changes] == [
        (2, "price 20.00 -> 25.00"),
        (3, "new product “coat”"),
    ]
    assert session.execute(select(SkuPrice.id, SkuPrice.unit_amount)).all() == before
    assert count(session) == (1, 1)
    assert import_rows(shirt(Variant_Price="25"), {**shirt(), "Handle": "coat"}).changes == (
        report.changes
    )


def test_the_command_ends_with_an_error_and_the_lines(app: Flask, tmp_path: object) -> None:
    path = f"{tmp_path}/bad.csv"
    with open(path, "wb") as file:
        file.write(write_csv([shirt(Variant_Price="x")]))
    result = app.test_cli_runner().invoke(args=["catalog", "import", path])
    assert result.exit_code == 1
    assert "line 2: Variant Price: 'x' is not an amount" in result.output
    assert "Nothing was imported: 1 problem to mend." in result.output


def test_stock_never_falls_below_what_buyers_were_promised(
    session: Session, import_rows: ImportRows, find_sku: Callable[..., Sku]
) -> None:
    import_rows(shirt(Variant_SKU="S-1"), further("M"))
    inventory = find_sku("shirt", "S").inventory
    inventory.reserved = 3
    session.flush()

    report = import_rows(shirt(Variant_SKU="S-1", Variant_Inventory_Qty="2"), further("M"))

    assert problems(report) == [
        (
            2,
            "Variant Inventory Qty is 2, but 3 of S-1 are promised to buyers who are paying now.",
        )
    ]
    assert find_sku("shirt", "S").inventory.on_hand == 5
    assert import_rows(shirt(Variant_SKU="S-1", Variant_Inventory_Qty="3"), further("M")).applied
    assert find_sku("shirt", "S").inventory.on_hand == 3


def test_stock_that_becomes_limited_must_cover_what_was_promised(
    session: Session, import_rows: ImportRows, find_sku: Callable[..., Sku]
) -> None:
    import_rows(shirt(Variant_Inventory_Tracker="", Variant_Inventory_Qty="0"))
    find_sku("shirt", "S").inventory.reserved = 2
    session.flush()
    report = import_rows(shirt(Variant_Inventory_Qty="1"))
    assert [line for line, _ in problems(report)] == [2]
    assert session.scalars(select(SkuInventory.tracked)).one() is False


def test_a_product_under_its_old_and_its_new_address_is_refused(
    session: Session, import_rows: ImportRows
) -> None:
    import_rows(shirt())
    rename_slug(session.scalars(select(Product)).one(), "chemise")
    report = import_rows(shirt(), {**shirt(), "Handle": "chemise"})
    [(line, sentence)] = problems(report)
    assert (line, "another address of the product on line 2" in sentence) == (3, True)


def test_a_new_product_needs_the_title_column(import_rows: ImportRows) -> None:
    report = import_rows({"Handle": "coat", "Vendor": "V"})
    assert problems(report) == [
        (2, "There is no product “coat” yet, and a new one needs the column “Title”.")
    ]


def test_variants_are_not_deleted_for_want_of_option_columns(
    session: Session, import_rows: ImportRows
) -> None:
    import_rows(shirt(), further("M"))
    report = import_rows({"Handle": "shirt", "Title": "Shirt", "Variant Price": "9"})
    assert "add the columns “Option1 Name”" in problems(report)[0][1]
    assert count(session) == (1, 2)


def test_a_second_import_at_the_same_time_is_refused(
    session_app: Flask, import_rows: ImportRows
) -> None:
    with db.engine.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(1667331169)"))
        with pytest.raises(ImportRunning, match="Another import is running"):
            import_rows(shirt())
