"""What an import saw and did, line by line, small however long the file is."""

from collections.abc import Callable
from dataclasses import dataclass, field

LIMIT = 100


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence about one line of the file; the header is line 1."""

    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the reading of a file has come."""

    rows: int
    bytes_read: int


TellProgress = Callable[[Progress], None]


@dataclass(slots=True)
class Lines:
    """The first hundred sentences in the order of the file, and how many there were in all."""

    count: int = 0
    first: list[Line] = field(default_factory=list)

    def add(self, line: int, sentence: str, count: int = 1) -> None:
        self.count += count
        self.first.append(Line(line, sentence))
        if len(self.first) > 2 * LIMIT:
            self._trim()

    def _trim(self) -> None:
        self.first.sort(key=lambda item: item.line)
        del self.first[LIMIT:]

    def shown(self) -> tuple[Line, ...]:
        self._trim()
        return tuple(self.first)

    def __bool__(self) -> bool:
        return self.count > 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The outcome of an import or of its dry run.

    With any ``problems`` nothing was imported. ``problems`` and ``changes`` hold the first 100,
    the counts all. ``kept_columns`` are columns with values that we store without using them.
    """

    rows: int = 0
    products: int = 0
    created: int = 0
    changed: int = 0
    variants_created: int = 0
    variants_unpriced: int = 0
    prices_set: int = 0
    pictures_added: int = 0
    kept_columns: tuple[str, ...] = ()
    changes: tuple[Line, ...] = ()
    change_count: int = 0
    problems: tuple[Line, ...] = ()
    problem_count: int = 0
    dry_run: bool = False

    @property
    def unchanged(self) -> int:
        return self.products - self.created - self.changed

    @property
    def applied(self) -> bool:
        """Whether the file is in the catalogue now."""
        return not self.problem_count and not self.dry_run
