"""What a bench found: rows for the eye and rows for a program, from the same values."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sandbox.processes import write_atomically

HEAD = ("bench", "what", "value", "unit", "against", "ratio")


@dataclass(frozen=True, slots=True)
class Row:
    """One number. ``ratio`` is ``value`` over the value of the row ``against`` names."""

    bench: str
    what: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None


def beside(row: Row, rival: Row) -> Row:
    """Return ``row`` set against ``rival``, a row of the same run and unit."""
    ratio = round(row.value / rival.value, 4) if rival.value else None
    return Row(row.bench, row.what, row.value, row.unit, rival.what, ratio)


@dataclass(slots=True)
class Notes:
    """How the numbers were come by: what a reader has to know to trust them."""

    lines: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        if sentence not in self.lines:
            self.lines.append(sentence)


def show_table(rows: Sequence[Row], notes: Notes) -> str:
    """Return the rows as aligned text, numbers to the right, the notes below."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    table = [_line(line, widths) for line in cells]
    table.insert(1, "-" * len(max(table, key=len)))
    return "\n".join([*table, "", *(f"  {note}" for note in notes.lines)]).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return row.bench, row.what, _number(row.value), row.unit, row.against or "", ratio


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:,.1f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numeric = (HEAD.index("value"), HEAD.index("ratio"))
    padded = [
        cell.rjust(width) if column in numeric else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def write_rows(target: Path, rows: Sequence[Row]) -> None:
    """Write the rows as a JSON list, whole or not at all."""
    text = json.dumps([asdict(row) for row in rows], indent=2)
    write_atomically(target.absolute(), text + "\n", mode=0o644)
