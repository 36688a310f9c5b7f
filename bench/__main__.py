"""`./dev bench [NAME]`: runs one bench or all, prints the table, keeps the rows as JSON."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from bench.ground import Ground
from bench.registry import Bench, Effort, list_benches
from bench.report import Notes, Row, show_table, write_rows
from sandbox.processes import SandboxError

MAX_ROUNDS = 50
MAX_SECONDS = 60


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 0 measured, 1 couldn't, 130 interrupted."""
    benches = {bench.name: bench for bench in list_benches()}
    options = _arguments(benches, argv)
    if options.list:
        for bench in benches.values():
            print(f"{bench.name:12} {bench.claim}")
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    if options.name:
        chosen = [benches[options.name]]
    else:
        chosen = [bench for bench in benches.values() if not bench.by_name_only]
    try:
        return run(chosen, Effort(options.rounds, options.seconds, options.count), options.json)
    except KeyboardInterrupt:
        print("Interrupted; everything was stopped.", file=sys.stderr)
        return 130
    except (SandboxError, OSError) as error:
        print(f"dev bench: {error}", file=sys.stderr)
        return 1


def run(benches: list[Bench], effort: Effort, target: Path | None) -> int:
    """Measure one bench after the other on one ground; rows are kept as soon as they are there."""
    rows: list[Row] = []
    notes = Notes()
    with Ground() as ground:
        for bench in benches:
            print(f"{bench.name}: {bench.claim}", file=sys.stderr, flush=True)
            rows += bench.run(ground, effort, notes)
            if target:
                write_rows(target, rows)
    print(show_table(rows, notes))
    return 0


def _arguments(benches: dict[str, Bench], argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(benches), metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the rows there")
    parser.add_argument("--rounds", type=_between(1, MAX_ROUNDS), default=5, metavar="N")
    parser.add_argument(
        "--seconds", type=_between(1, MAX_SECONDS), default=2, help="of load per slice"
    )
    parser.add_argument(
        "--count", type=_between(1, 5000), default=50, help="orders per round of `orders`"
    )
    parser.add_argument("--list", action="store_true", help="name the benches and end")
    return parser.parse_args(argv)


def _between(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers in a range: a bench is bounded in count and time."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"choose from {low} to {high}, in whole numbers")
        return int(text)

    return read


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
