"""The bench's rows, for the eye and for a program, and the fairness of its rounds."""

import json
from functools import partial
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.load import _measure
from bench.registry import list_benches
from bench.report import Notes, Row, beside, show_table, write_rows
from bench.rounds import alternate, middle
from sandbox.processes import SandboxError

HELLO = Row("pages", "hello", 2000.0, "requests/s")
HOME = Row("pages", "home", 412.5, "requests/s")


def test_a_row_beside_another_names_it_and_carries_the_ratio() -> None:
    row = beside(HOME, HELLO)
    assert (row.against, row.ratio) == ("hello", 0.2062)


def test_a_row_beside_nothing_done_has_no_ratio() -> None:
    assert beside(HOME, Row("pages", "hello", 0.0, "requests/s")).ratio is None


def test_the_table_aligns_numbers_and_ends_with_the_notes() -> None:
    notes = Notes()
    for _ in range(2):
        notes.add("Measured at noon.")
    assert show_table([HELLO, beside(HOME, HELLO)], notes).splitlines() == [
        "bench  what   value  unit        against  ratio",
        "-----------------------------------------------",
        "pages  hello  2,000  requests/s",
        "pages  home   412.5  requests/s  hello     0.21",
        "",
        "  Measured at noon.",
    ]


def test_the_json_is_a_list_of_rows_with_six_fields(tmp_path: Path) -> None:
    target = tmp_path / "new" / "rows.json"
    write_rows(target, [HELLO, beside(HOME, HELLO)])
    assert json.loads(target.read_text()) == [
        {
            "bench": "pages",
            "what": "hello",
            "value": 2000.0,
            "unit": "requests/s",
            "against": None,
            "ratio": None,
        },
        {
            "bench": "pages",
            "what": "home",
            "value": 412.5,
            "unit": "requests/s",
            "against": "hello",
            "ratio": 0.2062,
        },
    ]


def test_contestants_take_turns_and_none_is_always_first() -> None:
    seen: list[str] = []
    samples = alternate({name: partial(seen.append, name) for name in "abc"}, 3)
    assert seen == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert {name: len(found) for name, found in samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_one_slow_round_does_not_move_the_median() -> None:
    assert middle([10.0, 11.0, 0.1]) == 10.0


def test_benches_are_found_as_files() -> None:
    names = [bench.name for bench in list_benches()]
    assert names == sorted(names)
    assert {"orders", "pages", "servers", "webhooks"} <= set(names)


@pytest.mark.parametrize("wish", [["nothing"], ["pages", "--rounds", "0"], ["--seconds", "9999"]])
def test_a_wish_out_of_bounds_ends_with_a_sentence(
    wish: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(wish)
    assert "choose from" in capsys.readouterr().err


def test_failed_requests_are_no_measurement() -> None:
    told = '{"requests": 5, "seconds": 1, "p50": 1, "p95": 1, "p99": 1, "failed": 2, "errors": {}}'
    with pytest.raises(SandboxError, match="2 of 5 requests"):
        _measure(["echo", told], 1, "http://127.0.0.1/")
