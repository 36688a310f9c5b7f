"""Bytes of a CSV file into records with their line numbers, never more than one in memory."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from webapp.catalog.services.shopify.columns import HANDLE, MODELLED, OPTION_NAMES, OPTION_VALUES
from webapp.catalog.services.shopify.report import Lines

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
MAX_LINE_BYTES = 4 << 20
# A description may be long; a cell longer than this is a quote that was never closed.
MAX_CELL_CHARACTERS = 1_000_000
SAVE_AS = "Save the file as “CSV UTF-8” and try again."


class Unreadable(Exception):
    """The rest of the file can't be told apart into cells."""


class Reader:
    """Iterates over ``(line, cells)``; ``line`` is where the record begins, counted from 1.

    What is wrong goes to ``problems``; after a line in a wrong encoding reading goes on, so that
    one run shows all there is to mend.
    """

    def __init__(self, stream: BinaryIO, problems: Lines) -> None:
        self._stream = stream
        self._problems = problems
        self.bytes_read = 0

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(MAX_CELL_CHARACTERS)
        records = csv.reader(self._lines(), strict=True)
        while True:
            line = records.line_num + 1
            try:
                cells = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                self._problems.add(line, _explain(error))
                return
            except Unreadable as error:
                self._problems.add(records.line_num + 1, str(error))
                return
            if any(cells):
                yield line, cells

    def _lines(self) -> Iterator[str]:
        number = 0
        while raw := self._stream.readline(MAX_LINE_BYTES):
            number += 1
            self.bytes_read += len(raw)
            if len(raw) == MAX_LINE_BYTES:
                raise Unreadable("This line is longer than 4 MB. Is this a CSV file?")
            if number == 1:
                if raw.startswith(UTF_16_MARKS):
                    raise Unreadable(f"The file is in UTF-16. {SAVE_AS}")
                raw = raw.removeprefix(BYTE_ORDER_MARK)
            yield self._decode(number, raw)

    def _decode(self, number: int, raw: bytes) -> str:
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            self._problems.add(
                number, f"Byte {error.start + 1} of this line (0x{byte:02X}) isn't UTF-8. {SAVE_AS}"
            )
            text = raw.decode(errors="replace")
        if "\0" in text:
            self._problems.add(number, f"Character {text.index(chr(0)) + 1} is a zero byte.")
            text = text.replace("\0", "\ufffd")
        return text


def _explain(error: csv.Error) -> str:
    words = str(error)
    if "unexpected end" in words:
        return "A quote opened in this row is never closed."
    if "expected after" in words:
        return (
            "There is text after a closing quote. A quote inside a quoted cell must be doubled, "
            "and every opened quote closed."
        )
    if "field limit" in words:
        return (
            f"A cell in this row is longer than {MAX_CELL_CHARACTERS:,} characters; "
            "probably a quote is never closed."
        )
    if "new-line" in words:
        return "The lines of the file end in an old Mac's way. Save it with Windows or Unix ends."
    return f"This row can't be read: {words}."


class Header:
    """The first record: where each column is, and which columns we don't model."""

    def __init__(self, names: list[str]) -> None:
        known = {name.casefold(): name for name in MODELLED}
        stripped = [name.strip() for name in names]
        self.names = [known.get(name.casefold(), name) for name in stripped]
        self.index = {name: place for place, name in enumerate(self.names)}
        self.unknown = [
            (place, name) for place, name in enumerate(self.names) if name not in MODELLED
        ]

    def __contains__(self, name: str) -> bool:
        return name in self.index

    def has_any(self, names: frozenset[str]) -> bool:
        return not names.isdisjoint(self.index)

    def check(self, line: int, problems: Lines) -> bool:
        """Tell what is missing or ambiguous; return whether rows can be read under it."""
        if HANDLE not in self:
            problems.add(line, self._without_handle())
            return False
        seen: set[str] = set()
        for place, name in enumerate(self.names):
            if not name:
                problems.add(line, f"Column {place + 1} has no name.")
            elif name in seen:
                problems.add(line, f"There are two columns named “{name}”.")
            seen.add(name)
        for option, value in zip(OPTION_NAMES, OPTION_VALUES, strict=True):
            if (option in self) != (value in self):
                there, missing = (option, value) if option in self else (value, option)
                problems.add(line, f"There is a column “{there}” but none named “{missing}”.")
        return not problems

    def _without_handle(self) -> str:
        only = self.names[0] if len(self.names) == 1 else ""
        for sign, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if sign in only:
                return f"The columns are separated by {word}; Shopify's CSV has commas."
        return (
            "There is no column “Handle”, which says what product a row belongs to. "
            "The first line must name the columns."
        )
