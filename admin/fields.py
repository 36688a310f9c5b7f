"""Form fields that speak as people do: money in decimals, percents, lists with commas."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from wtforms import DateTimeLocalField, StringField, ValidationError

from webapp.core.errors import DomainError
from webapp.core.money import exponent, parse_amount, to_decimal_text
from webapp.core.shop import get_shop


class MoneyField(StringField):
    """Minor units of the shop's currency, typed as 12.50."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        if self.data is None:
            return ""
        currency = get_shop().currency
        text = to_decimal_text(self.data, currency)
        places = exponent(currency)
        return f"{Decimal(text):.{places}f}"

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = None
        if text:
            try:
                self.data = parse_amount(text, get_shop().currency)
            except DomainError as error:
                raise ValueError(error.sentence) from None


class PercentField(StringField):
    """Basis points, typed as 19.5."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else f"{Decimal(self.data) / 100:f}"

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip().rstrip("%").strip() if valuelist else ""
        self.data = None
        if not text:
            return
        try:
            value = Decimal(text) * 100
        except InvalidOperation:
            raise ValueError(f"{text!r} is not a percentage; write it like 19.5.") from None
        if not value.is_finite() or value != value.to_integral_value() or not 0 <= value <= 10_000:
            raise ValueError("A percentage lies between 0 and 100, with two decimals at most.")
        self.data = int(value)


class MomentField(DateTimeLocalField):
    """A moment in UTC, as a browser's own picker writes it."""

    def __init__(self, label: str, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(
            label, validators, format=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], **kwargs
        )

    def process_data(self, value: datetime | None) -> None:
        self.data = value.astimezone(UTC).replace(tzinfo=None) if value else None

    def populate_obj(self, obj: Any, name: str) -> None:
        setattr(obj, name, self.data.replace(tzinfo=UTC) if self.data else None)


class WordsField(StringField):
    """A list of words, typed with commas between them."""

    def _value(self) -> str:
        return ", ".join(self.data or [])

    def process_formdata(self, valuelist: list[str]) -> None:
        words = re.split(r"[,\n]", valuelist[0]) if valuelist else []
        self.data = list(dict.fromkeys(word.strip() for word in words if word.strip()))


class CountriesField(WordsField):
    """Two-letter country codes (ISO 3166-1), typed with commas or blanks between them."""

    def process_formdata(self, valuelist: list[str]) -> None:
        words = re.split(r"[,\s]+", valuelist[0].upper()) if valuelist else []
        self.data = list(dict.fromkeys(word for word in words if word))
        wrong = [word for word in self.data if not re.fullmatch(r"[A-Z]{2}", word)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: a country is two letters, like US or DE.")


def one_line(_form: Any, field: Any) -> None:
    """Refuse line breaks: they have no place in a name that ends up in a mail's header."""
    if field.data and re.search(r"[\r\n\0]", field.data):
        raise ValidationError("Only one line, please.")
