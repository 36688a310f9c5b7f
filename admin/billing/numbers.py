"""The room of numbers: what recurs, how it moves, who leaves, what is won back; down to rows."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Response, jsonify, request, stream_with_context, url_for

from admin.base import Column, Money, Page, page, record
from admin.billing import numbers_charts as charts
from admin.billing.numbers_kept import KEPT, kept_figures
from admin.billing.numbers_rows import FILTERS, Sheet, sheet_of
from webapp.billing.queries.numbers import Kind, Span, in_brief, last_days
from webapp.billing.queries.numbers.rows import Part, Rows
from webapp.billing.queries.numbers.spans import FIRST_DAY, month_end
from webapp.core import clock
from webapp.core.db import db
from webapp.core.money import to_decimal_text
from webapp.core.shop import get_shop
from webapp.core.spreadsheets import defused
from webapp.core.state import current_fork

PRESETS = (("30 days", 30), ("90 days", 90), ("A year", 365))
DAYS = 30
PAGE_SIZE = 50
LAST_PAGE = 10_000
BATCH = 1000
ROOMS = {"subscription": "admin_subscriptions", "dunning_case": "admin_cases"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks the figures of; what it gets wrong is as if it had not said it."""

    span: Span
    currency: str

    def address(self, endpoint: str, **more: Any) -> str:
        """Return the address of a page with the same days and currency, unless ``more`` differs."""
        values: dict[str, Any] = {**_days(self.span), "currency": self.currency, **more}
        return url_for(endpoint, **values)


class Numbers(Page):
    """Figures by day, each with its definition and the rows it is made of."""

    @page("/")
    def index(self) -> str:
        asked = _asked()
        figures = kept_figures(asked.span, asked.currency)
        html: str = self.render(
            "admin/billing/numbers.html",
            figures=figures,
            asked=asked,
            charts=charts,
            rate=charts.rate,
            kinds=Kind,
            minutes=int(KEPT.total_seconds() // 60),
            presets=[
                (title, Asked(last_days(days), asked.currency).address(".index"))
                for title, days in PRESETS
            ],
            rows_of=lambda name, **more: asked.address(".rows", of=name, **more),
            month_end=month_end,
            json_url=asked.address(".figures"),
        )
        return html

    @page("/rows/")
    def rows(self) -> str:
        """One page of the rows behind a figure."""
        asked, name = _asked(), request.args.get("of", "paying")
        sheet = sheet_of(name, asked.span, asked.currency)
        number = max(min(request.args.get("page", 1, type=int), LAST_PAGE), 1)
        found, number = _turn_to(number, sheet)
        columns = self._columns(sheet)
        html: str = self.render(
            "admin/billing/numbers_rows.html",
            sheet=sheet,
            asked=asked,
            columns=columns,
            lines=[
                [(column, self._cell(column, row)) for column in columns] for row in found.found
            ],
            total=found.total,
            number=number,
            pages=_pages(found),
            chosen=_chosen(),
            page_url=lambda to: asked.address(".rows", of=name, **_chosen(), page=to),
            csv_url=asked.address(".export", of=name, **_chosen()),
            back_url=asked.address(".index"),
        )
        return html

    @page("/rows.csv")
    def export(self) -> Response:
        """All rows behind a figure."""
        asked, name = _asked(), request.args.get("of", "paying")
        sheet = sheet_of(name, asked.span, asked.currency)
        columns = self._columns(sheet)
        asked_for: dict[str, Any] = {**_days(asked.span), **_chosen()}
        record("numbers.exported", "numbers", of=name, **asked_for)
        db.session.commit()
        days = f"{asked.span.since:%Y-%m-%d}-{asked.span.until:%Y-%m-%d}"
        name = f"{current_fork().name}-{name}-{days}.csv"
        return Response(
            stream_with_context(_lines(columns, sheet)),
            mimetype="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    @page("/figures.json")
    def figures(self) -> Response:
        """The same figures as JSON: amounts in minor units, rates as parts of 1."""
        asked = _asked()
        return jsonify(in_brief(kept_figures(asked.span, asked.currency)))

    def _columns(self, sheet: Sheet) -> list[Column]:
        return [
            column for column in sheet.columns if column.needs is None or self.allows(column.needs)
        ]

    def _cell(self, column: Column, row: Any) -> Any:
        value = column.value(row, {})
        if column.kind != "subject":
            return value
        noun, _, key = str(value.url).partition(":")
        room = next((each for each in self.admin.rooms if each.endpoint == ROOMS[noun]), None)
        is_open = key and room is not None and room.is_accessible()
        return value._replace(
            url=url_for(f"{ROOMS[noun]}.details_view", id=key) if is_open else None
        )


def _asked() -> Asked:
    today = clock.now().date()
    until = min(_day("until") or _day("at") or today, today)
    since = _day("since") or last_days(DAYS, until).since
    currency = request.args.get("currency", "").lower()
    is_code = len(currency) == 3 and currency.isascii() and currency.isalpha()
    return Asked(Span(min(since, until), until), currency if is_code else get_shop().currency)


def _day(name: str) -> date | None:
    try:
        return max(date.fromisoformat(request.args.get(name, "")), FIRST_DAY)
    except ValueError:
        return None


def _days(span: Span) -> dict[str, str]:
    return {"since": span.since.isoformat(), "until": span.until.isoformat()}


def _turn_to(number: int, sheet: Sheet) -> tuple[Rows, int]:
    """Return a page of the rows and its number; the last one where there is none of that number."""
    found = sheet.read(Part(PAGE_SIZE, (number - 1) * PAGE_SIZE))
    if found.total or number == 1:
        return found, number
    # Only a row tells how many there are.
    last = _pages(sheet.read(Part(1)))
    return sheet.read(Part(PAGE_SIZE, (last - 1) * PAGE_SIZE)), last


def _pages(found: Rows) -> int:
    return -(-found.total // PAGE_SIZE) or 1


def _chosen() -> dict[str, str]:
    """Return what narrows a list, as it was asked for."""
    return {name: request.args[name] for name in FILTERS if request.args.get(name)}


def _lines(columns: Sequence[Column], sheet: Sheet) -> Iterator[str]:
    yield _line([column.name for column in columns] + ["currency"])
    batch: list[str] = []
    for row in sheet.read(Part()).found:
        cells = [_text(column.value(row, {})) for column in columns]
        batch.append(_line([*cells, getattr(row, "currency", "")]))
        if len(batch) == BATCH:
            yield "".join(batch)
            batch.clear()
    yield "".join(batch)


def _text(value: Any) -> str:
    if isinstance(value, Money):
        return to_decimal_text(value.amount, value.currency)
    if isinstance(value, tuple):
        return str(value[0])
    return value.isoformat() if hasattr(value, "isoformat") else str("" if value is None else value)


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow([_safe(cell) for cell in cells])
    return written.getvalue()


def _safe(cell: str) -> str:
    """A number below zero stays one; whatever else a spreadsheet could run is defused."""
    return cell if cell.lstrip("-").replace(".", "", 1).isdigit() else defused(cell)
