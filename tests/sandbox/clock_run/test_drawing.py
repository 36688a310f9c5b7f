"""Who comes to a clock run, and how many of them for how long."""

import pytest

from sandbox.clock_run.__main__ import read_options
from sandbox.clock_run.people import draw


def test_nobody_wants_two_things_on_one_day() -> None:
    # In the first of these, somebody ended and wanted to stay in one breath.
    for customers, days, seed in ((50, 50, 1), (200, 400, 5), (300, 10, 7)):
        for persona in draw(customers, days, seed):
            wanted = [wish.day for wish in persona.wishes]
            assert wanted == sorted(set(wanted)), persona


def test_a_seed_brings_the_same_people_again() -> None:
    assert draw(40, 90, 3) == draw(40, 90, 3) != draw(40, 90, 4)


@pytest.mark.parametrize("option", ["--customers", "--days"])
@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_run_of_nothing_is_refused_with_a_sentence(
    option: str,
    number: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["clock-run", option, number])
    with pytest.raises(SystemExit) as refused:
        read_options()
    assert refused.value.code == 2
    assert f"{number} is not a number from 1 on." in capsys.readouterr().err
