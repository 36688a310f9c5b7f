"""The cells of one line, read as what their column says, with every mistake told by its line."""

from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from webapp.catalog.services.shopify.reading import Header
from webapp.catalog.services.shopify.report import Lines
from webapp.core.errors import DomainError
from webapp.core.money import parse_amount

MAX_TEXT = 255
MAX_URL = 2000
MAX_COUNT = 10**9


class Cells:
    """One line at a time; what is wrong goes to ``problems``."""

    def __init__(self, header: Header, currency: str, problems: Lines) -> None:
        self.header = header
        self.line = 0
        self.cells: list[str] = []
        self._currency = currency
        self._problems = problems

    def wrong(self, sentence: str) -> None:
        self._problems.add(self.line, sentence)

    def get(self, name: str) -> str:
        place = self.header.index.get(name)
        return "" if place is None else self.cells[place]

    def short(self, name: str) -> None:
        if len(self.get(name)) > MAX_TEXT:
            self.wrong(f"{name} is longer than {MAX_TEXT} characters.")

    def boolean(self, name: str, *, default: bool) -> bool:
        text = self.get(name).strip().lower()
        if text in ("true", "false"):
            return text == "true"
        if text:
            self.wrong(f"{name} is “{short_form(text)}”; write true or false.")
        return default

    def one_of(self, name: str, values: tuple[str, ...]) -> str:
        text = self.get(name).strip().lower()
        if text not in values:
            allowed = ", ".join(value for value in values if value)
            self.wrong(f"{name} is “{short_form(text)}”; it can be {allowed}.")
            return ""
        return text

    def count(self, name: str) -> int:
        text = self.get(name).strip()
        if not text:
            return 0
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or abs(value) > MAX_COUNT or value != int(value):
            self.wrong(f"{name} “{short_form(text)}” is not a whole number.")
            return 0
        return int(value)

    def amount(self, name: str) -> int | None:
        text = self.get(name).strip()
        if not text:
            return None
        try:
            return parse_amount(text, self._currency)
        except DomainError as error:
            self.wrong(f"{name}: {error.sentence}")
            return None

    def url(self, name: str) -> str:
        text = self.get(name).strip()
        if not text:
            return ""
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable or len(text) > MAX_URL:
            self.wrong(f"{name} “{short_form(text)}” is not a web address of a picture.")
        return text


def short_form(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
