"""The suppression list as a CSV file that ``import_suppressions`` reads again."""

import csv
import io
from collections.abc import Iterator

from webapp.core.privacy import rows_of
from webapp.core.spreadsheets import defused
from webapp.messaging.models import MailSuppression

COLUMNS = ("email", "scope", "reason", "source", "detail", "at")


def export_suppressions() -> Iterator[str]:
    """Yield the list's lines, the heading first; they are read in batches, so memory stays flat.

    No spreadsheet takes a cell of it for a formula.
    """
    yield _line(COLUMNS)
    for row in rows_of(MailSuppression, leave_out=("id",)):
        row |= {"scope": row["scope"].value, "reason": row["reason"].value}
        row["at"] = row["at"].isoformat()
        yield _line([row[name] for name in COLUMNS])


def _line(cells: tuple[str, ...] | list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([defused(cell) for cell in cells])
    return line.getvalue()
