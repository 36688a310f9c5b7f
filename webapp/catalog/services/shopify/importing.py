"""A Shopify product CSV into the catalogue: told line by line, then all of it or nothing."""

from typing import Any, BinaryIO

from sqlalchemy import text

from webapp.catalog.errors import ImportRunning
from webapp.catalog.services.shopify.checking import check_file
from webapp.catalog.services.shopify.merge import Merge
from webapp.catalog.services.shopify.merging import run
from webapp.catalog.services.shopify.reading import Header, Reader
from webapp.catalog.services.shopify.report import (
    LIMIT,
    ImportReport,
    Line,
    Lines,
    Progress,
    TellProgress,
)
from webapp.catalog.services.shopify.row_reading import RowReader
from webapp.catalog.services.shopify.staging import (
    create_staging,
    drop_staging,
    index_staging,
    stage,
)
from webapp.core import clock
from webapp.core.db import db

BATCH = 2000
LOCK = 0x63617461


def import_products(
    stream: BinaryIO,
    currency: str,
    *,
    dry_run: bool = False,
    progress: TellProgress | None = None,
) -> ImportReport:
    """Bring the catalogue to what the CSV in ``stream`` says; prices are in ``currency``.

    Flushes; with problems, or for a dry run, everything is undone to where it was before the
    call. ``progress`` is told now and then how far it is. Raises ImportRunning.

    A product is known by its Handle (or a former one), a variant by its SKU, else by its option
    values. As with Shopify's "Overwrite products with matching handles", an empty cell empties
    the value (a missing price excepted: there is no way to un-price), a missing column leaves it
    alone, and a variant whose row is gone is taken off its product. The sku behind it stays for
    the orders that tell of it, and comes back if its SKU does. The pictures of the file are the
    product's. Products that the file doesn't name stay as they are.

    Cells are kept as they are but for: booleans and numbers in their shortest form, spaces around
    tags, empty booleans and counts, which become the default.
    """
    problems = Lines()
    # Two imports at once would give the same places and SKUs to different products.
    lock = text("SELECT pg_try_advisory_xact_lock(:lock)")
    if not db.session.scalar(lock, {"lock": LOCK}):
        raise ImportRunning("Another import is running. Try again when it is over.")
    db.session.flush()
    savepoint = db.session.begin_nested()
    try:
        report = _import(stream, currency, problems, progress, dry_run=dry_run)
        if report.applied:
            drop_staging()
            savepoint.commit()
        else:
            savepoint.rollback()
    except BaseException:
        savepoint.rollback()
        raise
    finally:
        db.session.expire_all()
    return report


def _import(
    stream: BinaryIO,
    currency: str,
    problems: Lines,
    progress: TellProgress | None,
    *,
    dry_run: bool,
) -> ImportReport:
    # A web request must be quick, an import may be long.
    db.session.execute(text("SET LOCAL statement_timeout = 0"))
    create_staging()
    reader = Reader(stream, problems)
    records = iter(reader)
    first = next(records, None)
    if first is None:
        if not problems:
            problems.add(1, "The file is empty.")
        return _refusal(problems, dry_run=dry_run)
    header = Header(first[1])
    if not header.check(first[0], problems):
        return _refusal(problems, dry_run=dry_run)
    rows = RowReader(header, currency, problems)
    for line, cells in records:
        rows.read(line, cells)
        if len(rows.batch) >= BATCH:
            stage(rows.take_batch())
            _tell(progress, rows, reader)
    stage(rows.take_batch())
    _tell(progress, rows, reader)
    index_staging()
    check_file(problems)
    merge = Merge(header, currency, clock.now(), rows.rows)
    if not problems:
        run(merge, problems)
    counts: dict[str, Any] = {
        "rows": rows.rows,
        "products": rows.products,
        "kept_columns": tuple(name for _, name in header.unknown if name in rows.kept),
    }
    if problems:
        return _refusal(problems, dry_run=dry_run, **counts)
    return ImportReport(
        **counts,
        **_outcome(),
        prices_set=merge.prices_set,
        pictures_added=merge.pictures_added,
        dry_run=dry_run,
    )


def _tell(progress: TellProgress | None, rows: RowReader, reader: Reader) -> None:
    if progress:
        progress(Progress(rows.rows, reader.bytes_read))


def _refusal(problems: Lines, *, dry_run: bool, **counts: Any) -> ImportReport:
    return ImportReport(
        problems=problems.shown(), problem_count=problems.count, dry_run=dry_run, **counts
    )


def _outcome() -> dict[str, Any]:
    numbers = db.session.execute(
        text("""
        SELECT (SELECT count(*) FROM import_product WHERE is_new) AS created,
               (SELECT count(DISTINCT number) FROM import_change
                WHERE number IN (SELECT number FROM import_product WHERE NOT is_new)) AS changed,
               (SELECT count(*) FROM import_variant WHERE is_new) AS variants_created,
               (SELECT count(*) FROM import_variant v WHERE NOT EXISTS
                   (SELECT 1 FROM sku_price p WHERE p.sku_id = v.sku_id)) AS variants_unpriced,
               (SELECT count(*) FROM import_change) AS change_count
        """)
    ).one()
    changes = db.session.execute(
        text("SELECT line, sentence FROM import_change ORDER BY line LIMIT :most"), {"most": LIMIT}
    )
    return {**numbers._mapping, "changes": tuple(Line(*row) for row in changes)}
