"""Invoices and credit notes on paper: A4, in the fonts that every PDF reader has."""

from dataclasses import dataclass

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from sandbox.stripe import money
from sandbox.stripe.hosted import SHOP, country_names, date
from sandbox.stripe.invoice_pages import reading
from sandbox.stripe.invoice_pages.reading import Entry, Sum
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_MARGIN, _WIDTH = 18, 174
_INK, _SOFT, _LINE = (28, 29, 31), (98, 101, 107), (220, 218, 211)
_COLUMNS = (92, 14, 34, 34)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a paper says, from its title to its last sum."""

    title: str
    facts: list[tuple[str, str]]
    to: list[str]
    headline: str
    entries: list[Entry]
    sums: list[Sum]
    footer: str = ""


def invoice(world: World, row: Row) -> bytes:
    """A PDF; the same invoice gives the same bytes as long as nothing happens to it."""
    body = row.body
    state = reading.state_of(row)
    facts = [("Invoice number", body["number"]), ("Date of issue", state.date)]
    if body["due_date"]:
        facts.append(("Date due", date(body["due_date"])))
    if body["status"] == "paid":
        facts.append(("Date paid", date(body["status_transitions"]["paid_at"])))
    words = f"{state.amount} paid" if body["status"] == "paid" else f"{state.amount} due"
    if body["status"] == "void":
        words = "Cancelled"
    sheet = Sheet(
        "Invoice",
        facts,
        _addressee(body),
        words,
        reading.entries(row),
        reading.sums(world, row),
        body["footer"] or "",
    )
    return _drawn(sheet)


def credit_note(world: World, row: Row) -> bytes:
    """A PDF of a credit note."""
    body = row.body
    currency = body["currency"]
    of = world.get("invoice", body["invoice"])
    facts = [
        ("Credit note number", body["number"]),
        ("For invoice", of.body["number"]),
        ("Date of issue", date(body["created"])),
    ]
    sums = [Sum("Subtotal", money.written(body["subtotal"], currency))]
    sums += reading.tax_sums(world, body, currency)
    sums.append(Sum("Total", money.written(body["total"], currency), total=True))
    sheet = Sheet(
        "Credit note",
        facts,
        _addressee(of.body),
        f"{money.written(body['amount'], currency)} given back"
        if body["status"] == "issued"
        else "Cancelled",
        [
            Entry(
                line["description"] or "",
                money.written(line["amount"], currency),
                quantity=str(line["quantity"] or ""),
            )
            for line in body["lines"]["data"]
        ],
        sums,
        body["memo"] or "",
    )
    return _drawn(sheet)


def _addressee(body: Json) -> list[str]:
    address = body["customer_address"] or {}
    city = " ".join(filter(None, [address.get("postal_code"), address.get("city")]))
    country = country_names().get(address.get("country") or "", address.get("country"))
    parts = [body["customer_name"], address.get("line1"), address.get("line2"), city]
    parts += [address.get("state"), country, body["customer_email"]]
    return [part for part in parts if part]


class _Paper(FPDF):
    """A4 with room around it; letters that the fonts lack become question marks."""

    def __init__(self) -> None:
        super().__init__(format="A4")
        # The standard fonts know Windows' letters: with them the euro, dashes and quotes.
        self.core_fonts_encoding = "windows-1252"
        self.set_margin(_MARGIN)
        self.set_auto_page_break(True, _MARGIN)
        self.add_page()

    def write_at(
        self, text: str, width: float, *, size: float = 10, bold: bool = False,
        soft: bool = False, align: str = "L", end: bool = False,
    ) -> None:  # fmt: skip
        """A cell on the current line; `end` goes on to the next."""
        self.set_font("Helvetica", "B" if bold else "", size)
        self.set_text_color(*(_SOFT if soft else _INK))
        x, y = (XPos.LMARGIN, YPos.NEXT) if end else (XPos.RIGHT, YPos.TOP)
        self.cell(width, size * 0.55, known(text), align=align, new_x=x, new_y=y)

    def rule(self) -> None:
        self.set_draw_color(*_LINE)
        y = self.get_y() + 1.5
        self.line(_MARGIN, y, _MARGIN + _WIDTH, y)
        self.set_y(y + 1.5)


def known(text: str) -> str:
    """The text as the standard fonts can write it."""
    plain = text.replace("\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}")
    return plain.encode("windows-1252", "replace").decode("windows-1252")


def _drawn(sheet: Sheet) -> bytes:
    paper = _Paper()
    paper.set_title(known(f"{sheet.title} {sheet.facts[0][1]}"))
    paper.set_creator(SHOP)
    paper.set_lang("en")
    _draw_head(paper, sheet)
    _draw_lines(paper, sheet.entries)
    _draw_sums(paper, sheet.sums)
    if sheet.footer:
        paper.ln(8)
        paper.set_font("Helvetica", "", 9)
        paper.set_text_color(*_SOFT)
        paper.multi_cell(_WIDTH, 4.5, known(sheet.footer))
    return bytes(paper.output())


def _draw_head(paper: _Paper, sheet: Sheet) -> None:
    paper.write_at(sheet.title, _WIDTH / 2, size=22, bold=True)
    paper.write_at(SHOP, _WIDTH / 2, size=13, bold=True, align="R", end=True)
    paper.ln(6)
    for name, value in sheet.facts:
        paper.write_at(name, 42, soft=True)
        paper.write_at(value, _WIDTH - 42, end=True)
    paper.ln(6)
    paper.write_at("Bill to", _WIDTH, bold=True, end=True)
    for line in sheet.to:
        paper.write_at(line, _WIDTH, end=True)
    paper.ln(8)
    paper.write_at(sheet.headline, _WIDTH, size=16, bold=True, end=True)
    paper.ln(6)


def _draw_lines(paper: _Paper, entries: list[Entry]) -> None:
    names = ("Description", "Qty", "Unit price", "Amount")
    for index, (name, width) in enumerate(zip(names, _COLUMNS, strict=True)):
        last = index == len(names) - 1
        paper.write_at(name, width, size=9, soft=True, align="R" if index else "L", end=last)
    paper.rule()
    for entry in entries:
        _draw_entry(paper, entry)


def _draw_entry(paper: _Paper, entry: Entry) -> None:
    if paper.will_page_break(16):
        paper.add_page()
    top = paper.get_y()
    paper.set_xy(_MARGIN + _COLUMNS[0], top)
    values = (entry.quantity, entry.each, entry.amount)
    for value, width in zip(values, _COLUMNS[1:], strict=True):
        paper.write_at(value, width, align="R")
    paper.set_xy(_MARGIN, top)
    paper.set_font("Helvetica", "", 10)
    paper.set_text_color(*_INK)
    paper.multi_cell(
        _COLUMNS[0], 5.5, known(entry.words), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
    )
    if entry.period:
        paper.write_at(entry.period, _COLUMNS[0], size=9, soft=True, end=True)
    paper.ln(2)


def _draw_sums(paper: _Paper, sums: list[Sum]) -> None:
    paper.rule()
    for one in sums:
        if paper.will_page_break(8):
            paper.add_page()
        paper.set_x(_MARGIN + _COLUMNS[0] - 22)
        paper.write_at(one.words, _WIDTH - _COLUMNS[0] + 22 - 34, bold=one.total)
        paper.write_at(one.amount, 34, bold=one.total, align="R", end=True)
        paper.ln(0.8)
