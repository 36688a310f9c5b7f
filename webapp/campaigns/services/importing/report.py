"""What an import of people saw and did, as a person reads it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from webapp.catalog.services.shopify.report import LIMIT, Lines


@dataclass(slots=True)
class ImportReport:
    """The outcome of an import or of its dry run; with any ``problems`` nothing was imported.

    ``notes`` tell what was left out of a line that was taken. ``agreed`` are new yeses to the
    topic, ``kept_no`` people of the file who had said no here: that stays. ``left`` are new
    noes, ``suppressed`` addresses that get no mail from now on, ``silent`` people who are met
    without a yes. ``unused_columns`` held something that was not kept.
    """

    dry_run: bool
    encoding: str = ""
    rows: int = 0
    people: int = 0
    repeated: int = 0
    created: int = 0
    changed: int = 0
    agreed: int = 0
    kept_no: int = 0
    left: int = 0
    suppressed: int = 0
    silent: int = 0
    tagged: int = 0
    kept_columns: tuple[str, ...] = ()
    unused_columns: tuple[str, ...] = ()
    problems: Lines = field(default_factory=Lines)
    notes: Lines = field(default_factory=Lines)

    @property
    def applied(self) -> bool:
        """Whether the people of the file are here now."""
        return not self.problems and not self.dry_run

    def sentences(self) -> Iterator[str]:
        """Yield the report for a person, the single lines first."""
        told = self.problems or self.notes
        for line in told.shown():
            yield f"line {line.line}: {line.sentence}"
        if told.count > LIMIT:
            yield f"... and {told.count - LIMIT:,} more."
        if self.unused_columns:
            yield f"Not kept: the columns {', '.join(self.unused_columns)}."
        if self.kept_columns:
            yield f"Kept as variables for mails: {', '.join(self.kept_columns)}."
        if self.problems:
            yield f"Nothing was imported: {self.problems.count:,} to mend."
            return
        yield from self._outcome()

    def _outcome(self) -> Iterator[str]:
        repeated = f", {self.repeated:,} of them repeated" if self.repeated else ""
        yield (
            f"{self.rows:,} rows read as {self.encoding}{repeated}: {self.created:,} people are "
            f"new, {self.changed:,} known ones have more details now."
        )
        yield (
            f"{self.agreed:,} agreed to be written to, {self.silent:,} are met without a yes, "
            f"{self.left:,} had left, {self.suppressed:,} are suppressed, {self.tagged:,} tags."
        )
        if self.kept_no:
            yield f"{self.kept_no:,} said no here, and that stays."
        if self.dry_run:
            yield "Nothing was changed: this was a dry run."
