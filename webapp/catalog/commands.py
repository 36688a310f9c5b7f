"""The catalogue on the command line: ``flask catalog import | export | collect``."""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
from flask.cli import with_appcontext

from webapp.catalog.services.collecting import By, collect_products
from webapp.catalog.services.shopify.exporting import export_products
from webapp.catalog.services.shopify.importing import import_products
from webapp.catalog.services.shopify.report import ImportReport, Line, Progress, TellProgress
from webapp.core.commands import Sentences
from webapp.core.db import db
from webapp.core.queue import Queue, ring
from webapp.core.shop import get_shop

TELL_EVERY = 10_000


@click.group(cls=Sentences)
def catalog() -> None:
    """Bring products in and out."""


@catalog.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@with_appcontext
def import_command(file: BinaryIO, dry_run: bool) -> None:
    """Import the product CSV that Shopify writes: all of FILE, or nothing of it.

    Prices are in the shop's currency. Columns we have no use for are kept and exported again.
    """
    name = Path(str(file.name)).name
    with _show_progress(file) as progress:
        report = import_products(file, get_shop().currency, dry_run=dry_run, progress=progress)
    db.session.commit()
    if report.applied and report.pictures_added:
        ring("jobs.catalog.fetch_pictures", queue=Queue.BULK)
    for sentence in describe(name, report):
        click.echo(sentence)
    if report.problem_count:
        raise click.exceptions.Exit(1)


def describe(name: str, report: ImportReport) -> Iterator[str]:
    """Yield the report as lines for a terminal."""
    yield f"{name}: {report.rows:,} rows, {report.products:,} products."
    if report.problem_count:
        yield from _list(report.problems, report.problem_count)
        yield f"Nothing was imported: {_count(report.problem_count, 'problem')} to mend."
        return
    yield from _list(report.changes, report.change_count)
    yield (
        f"Products: {report.created:,} new, {report.changed:,} changed, "
        f"{report.unchanged:,} unchanged. {_count(report.change_count, 'change')}."
    )
    yield (
        f"Variants: {report.variants_created:,} new. Prices: {report.prices_set:,} set. "
        f"Pictures: {report.pictures_added:,} to fetch."
    )
    if report.variants_unpriced:
        yield f"{_count(report.variants_unpriced, 'variant')} without a price: not for sale yet."
    if report.kept_columns:
        columns = _count(len(report.kept_columns), "column")
        yield f"Kept {columns} we don't use: {', '.join(report.kept_columns)}."
    if report.dry_run:
        yield "Nothing was changed: this was a dry run."


def _list(lines: tuple[Line, ...], count: int) -> Iterator[str]:
    for item in lines:
        yield f"  line {item.line}: {item.sentence}"
    if count > len(lines):
        yield f"  ... and {count - len(lines):,} more."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextlib.contextmanager
def _show_progress(file: BinaryIO) -> Iterator[TellProgress]:
    """A bar where somebody watches and the size is known, else a line now and then."""
    size = _size(file)
    if not sys.stderr.isatty() or not size:
        yield _tell_now_and_then()
        return
    with click.progressbar(length=size, label="Reading", file=sys.stderr) as bar:
        yield lambda at: bar.update(at.bytes_read - bar.pos)


def _tell_now_and_then() -> TellProgress:
    told = 0

    def tell(at: Progress) -> None:
        nonlocal told
        if at.rows - told >= TELL_EVERY:
            told = at.rows
            click.echo(f"{at.rows:,} rows read", err=True)

    return tell


def _size(file: BinaryIO) -> int:
    try:
        return os.fstat(file.fileno()).st_size
    except OSError:
        return 0


@catalog.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="-")
@with_appcontext
def export_command(file: Path) -> None:
    """Write all products as Shopify's CSV to FILE, or to the standard output.

    Cells are written as they are. A text that begins with = + - or @ is a formula to a
    spreadsheet program: mind whose texts you open.
    """
    if str(file) == "-":
        # Python's own standard output would translate line ends and choose the encoding.
        stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        export_products(stream)
        stream.detach()
        return
    try:
        count = _export_to(file)
    except OSError as error:
        raise click.ClickException(f"Can't write {file}: {error.strerror}.") from None
    click.echo(f"{_count(count, 'product')} written to {file}.", err=True)


def _export_to(path: Path) -> int:
    """Replace ``path`` only when all of it is written."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as stream:
            count = export_products(stream)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return count


@catalog.command("collect")
@click.option("--by", type=click.Choice([by.value for by in By]), default=By.TAG.value)
@click.option("--limit", type=click.IntRange(1, 50), default=6, show_default=True)
@with_appcontext
def collect_command(by: Any, limit: int) -> None:
    """Make collections of the commonest tags or types of the published products."""
    titles = collect_products(By(by), limit)
    db.session.commit()
    click.echo(f"{_count(len(titles), 'collection')}: {', '.join(titles)}")
