"""The import itself: all of a file or nothing, and the same file again changes nothing."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from webapp.campaigns.errors import UnreadableImport
from webapp.campaigns.services.importing.columns import Columns, read_heading, variable_of
from webapp.campaigns.services.importing.merging import merge
from webapp.campaigns.services.importing.people_reading import LineReader, Person, Standing
from webapp.campaigns.services.importing.reading import decode, records
from webapp.campaigns.services.importing.report import ImportReport
from webapp.campaigns.services.tags import read_tag
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.messaging.models import MailTopic

SHORTEST_SOURCE, LONGEST_SOURCE = 5, 200
EVERY_COLUMN = "*"


@dataclass(frozen=True, slots=True)
class ImportChoices:
    """What whoever imports has to say about the people in the file.

    ``source``: where and how they agreed, in words; it is kept as the proof of their consent.
    ``keep``: the columns (by name, ``*`` for all, ``attributes`` for listmonk's) that mails may
    use as variables; others are not kept. ``tags`` are for everybody in the file.
    """

    source: str
    topic: MailTopic = MailTopic.NEWSLETTER
    keep: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def import_prospects(
    content: bytes, choices: ImportChoices, by: Actor, *, dry_run: bool
) -> ImportReport:
    """Bring the people of a CSV file in; flushes. With problems, or for a dry run, nothing stays.

    People are known by their address. What is known of them already stays and gaps are filled;
    asked-for columns are the file's. Whoever said no here keeps it; who left elsewhere is noted
    as a no and whose mailbox is dead is suppressed, and neither becomes a prospect by it. Raises
    UnreadableImport, ImportTooBig or InvalidTag.
    """
    source = _source(choices.source)
    found = decode(content)
    report = ImportReport(dry_run, found.encoding)
    people = _read(found.text, choices, report)
    if report.problems:
        return report
    db.session.flush()
    savepoint = db.session.begin_nested()
    try:
        # A web request must be quick, an import may be long.
        db.session.execute(text("SET LOCAL statement_timeout = '5min'"))
        merge(people.values(), choices.topic, source, clock.now(), report)
        if dry_run:
            savepoint.rollback()
        else:
            savepoint.commit()
    except BaseException:
        savepoint.rollback()
        raise
    finally:
        db.session.expire_all()
    if report.applied:
        _note(report, choices.topic, by)
    return report


def _source(words: str) -> str:
    words = " ".join(words.split())
    if not SHORTEST_SOURCE <= len(words) <= LONGEST_SOURCE or not words.isprintable():
        raise UnreadableImport(
            "Say where and when these people agreed to be written to, in a sentence of up to "
            f"{LONGEST_SOURCE} characters: it is the proof that you may."
        )
    return f"import: {words}"


def _read(text: str, choices: ImportChoices, report: ImportReport) -> dict[str, Person]:
    """Return the people of the file by address, telling the report what is wrong."""
    lines = records(text)
    first = next(lines, None)
    if first is None:
        raise UnreadableImport("The file is empty.")
    columns = read_heading(first[1])
    keep = _kept(columns, choices.keep)
    reader = LineReader(columns, keep, [read_tag(tag) for tag in choices.tags], report)
    people: dict[str, Person] = {}
    for line, cells in lines:
        report.rows += 1
        person = reader.read(line, cells)
        if person is None:
            continue
        standing = people.setdefault(person.email, person)
        if standing is not person:
            report.repeated += 1
            standing.join(person)
    report.people = len(people)
    report.silent = sum(1 for each in people.values() if each.standing is Standing.SILENT)
    report.kept_columns = tuple(sorted(keep))
    report.unused_columns = tuple(sorted(reader.seen_dropped))
    return people


def _kept(columns: Columns, asked: tuple[str, ...]) -> set[str]:
    """Return the variables that are kept. Raises UnreadableImport for what isn't in the file."""
    there = set(columns.others) | ({"attributes"} & set(columns.at))
    if EVERY_COLUMN in asked:
        return there
    wanted = {variable_of(name): name for name in asked}
    missing = [name for variable, name in wanted.items() if variable not in there]
    if missing:
        raise UnreadableImport(f"The file has no column to keep named {', '.join(missing)}.")
    return set(wanted)


def _note(report: ImportReport, topic: MailTopic, by: Actor) -> None:
    counts: dict[str, Any] = {
        "created": report.created,
        "changed": report.changed,
        "agreed": report.agreed,
        "left": report.left,
        "suppressed": report.suppressed,
    }
    if any(counts.values()):
        record(by, "prospects.imported", "prospect:list", topic=topic.value, **counts)
        db.session.flush()
