"""Brings a list of addresses in that another system learned not to write to: all or nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from sqlalchemy import select

from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.privacy import among
from webapp.messaging.models import MailSuppression, SuppressionScope
from webapp.messaging.services.suppressing.keeping import stricter
from webapp.messaging.services.suppressing.rows import Mistake, Row, Table

BATCH = 1000
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence about one line of the file; the heading is line 1."""

    line: int
    sentence: str


@dataclass(slots=True)
class Report:
    """What an import did, or would do. With any problem nothing was imported.

    ``problems`` and ``changes`` hold the first hundred, the counts all. ``left_out`` are people
    whom the file itself says may be written to, ``repeated`` lines naming an address again.
    """

    dry_run: bool
    rows: int = 0
    added: int = 0
    widened: int = 0
    unchanged: int = 0
    repeated: int = 0
    left_out: int = 0
    problem_count: int = 0
    unknown_columns: tuple[str, ...] = ()
    problems: list[Line] = field(default_factory=list)
    changes: list[Line] = field(default_factory=list)

    @property
    def applied(self) -> bool:
        """Whether the file's addresses are on the list now."""
        return not self.problem_count and not self.dry_run

    def sentences(self) -> Iterator[str]:
        """Yield the report for a person, the single lines first."""
        for line in self.problems or self.changes:
            yield f"line {line.line}: {line.sentence}"
        more = (self.problem_count or self.added + self.widened) - SHOWN
        if more > 0:
            yield f"... and {more:,} more."
        if self.unknown_columns:
            yield f"Not used: the columns {', '.join(self.unknown_columns)}."
        if self.left_out:
            yield f"Left out, as the file says they get mail: {self.left_out:,}."
        if self.problem_count:
            yield f"Nothing was imported: {self.problem_count:,} to mend."
            return
        yield (
            f"{self.rows:,} rows: {self.added:,} added, {self.widened:,} widened to all mail, "
            f"{self.unchanged:,} on the list already, {self.repeated:,} repeated."
        )
        if self.dry_run:
            yield "Nothing was changed: this was a dry run."


def import_suppressions(text: str, by: Actor, *, dry_run: bool) -> Report:
    """Add the addresses of a CSV file to the list; flushes. The same file again changes nothing.

    The column ``email`` is needed; scope, reason, source, detail and at are used where they are,
    also under the names that Mailchimp, listmonk, SendGrid and Amazon SES give them. Without a
    scope, bounces stop all mail and everything else stops marketing. Raises
    UnreadableSuppressions for a file without that column or without an end to a quote.
    """
    report = Report(dry_run)
    rows = _read(text, report)
    if report.problem_count:
        return report
    # In one order, so that two imports at once wait for each other and never in a ring.
    ordered = sorted(rows.values(), key=lambda row: row.email)
    for start in range(0, len(ordered), BATCH):
        _bring_in(ordered[start : start + BATCH], report)
    report.changes = sorted(report.changes, key=lambda line: line.line)[:SHOWN]
    if report.applied and report.added + report.widened:
        record(
            by,
            "suppression.imported",
            "suppression:list",
            added=report.added,
            widened=report.widened,
        )
        db.session.flush()
    return report


def _read(text: str, report: Report) -> dict[str, Row]:
    """Return one row an address: the first that names it, or the first with the wider scope."""
    table, rows = Table(text), dict[str, Row]()
    for line, row in table:
        report.rows += 1
        if row is None:
            report.left_out += 1
        elif isinstance(row, Mistake):
            report.problem_count += 1
            if len(report.problems) < SHOWN:
                report.problems.append(Line(line, str(row)))
        elif row.email not in rows:
            rows[row.email] = row
        else:
            report.repeated += 1
            if _widens(rows[row.email].scope, row.scope):
                rows[row.email] = row
    report.unknown_columns = table.unknown
    return rows


def _bring_in(rows: Sequence[Row], report: Report) -> None:
    columns = MailSuppression.email, MailSuppression.scope
    theirs = among(MailSuppression.email, [row.email for row in rows])
    standing = dict(db.session.execute(select(*columns).where(theirs)).all())
    changing = [row for row in rows if _changes(row, standing.get(row.email), report)]
    if changing and not report.dry_run:
        values = [{k: v for k, v in asdict(row).items() if k != "line"} for row in changing]
        db.session.execute(stricter(values))


def _changes(row: Row, standing: SuppressionScope | None, report: Report) -> bool:
    if standing is None:
        report.added += 1
        said = f"{row.email} gets no {'mail' if row.scope is SuppressionScope.ALL else 'marketing'}"
    elif _widens(standing, row.scope):
        report.widened += 1
        said = f"{row.email} got no marketing, and gets no mail at all"
    else:
        report.unchanged += 1
        return False
    report.changes.append(Line(row.line, f"{said} ({row.reason.value})."))
    if len(report.changes) > 2 * SHOWN:
        report.changes = sorted(report.changes, key=lambda line: line.line)[:SHOWN]
    return True


def _widens(before: SuppressionScope, after: SuppressionScope) -> bool:
    return before is SuppressionScope.MARKETING and after is SuppressionScope.ALL
