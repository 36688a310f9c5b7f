"""What a list shows of a row, and the choices above it that narrow it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import g, request
from sqlalchemy import ColumnElement

from webapp.accounts.permissions import Permission

Row = Any
Options = Sequence[tuple[str, str]]


class Money(NamedTuple):
    """What a cell of kind ``money`` shows."""

    amount: int
    currency: str


class Link(NamedTuple):
    """What a cell of kind ``link`` shows."""

    text: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Column:
    """One fact of a row. ``kind`` picks the macro in templates/admin/cells.html that shows it.

    ``read`` takes the row; without it the attribute ``name`` is read, or what the room's
    ``gather`` found for the whole page under that name. ``needs`` keeps a detail page's fact from
    those who lack that permission.
    """

    name: str
    title: str
    kind: str = "text"
    read: Callable[[Row], Any] | None = None
    sort: Any = None
    needs: Permission | None = None

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "money")

    def value(self, row: Row, gathered: Mapping[str, Any]) -> Any:
        if self.name in gathered:
            return gathered[self.name]
        return self.read(row) if self.read else getattr(row, self.name)


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice above a list: each option's value narrows the list by ``condition(value)``.

    Options that only the database knows are a function, asked once per request.
    """

    name: str
    title: str
    options: Options | Callable[[], Options]
    condition: Callable[[str], ColumnElement[bool]]

    def choices(self) -> Options:
        if not callable(self.options):
            return self.options
        known: dict[Any, Options] = g.setdefault("filter_choices", {})
        if self.options not in known:
            known[self.options] = self.options()
        return known[self.options]

    def chosen(self) -> str:
        value = request.args.get(self.name, "")
        return value if value and value in dict(self.choices()) else ""
