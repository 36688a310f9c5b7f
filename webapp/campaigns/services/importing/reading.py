"""The bytes of a CSV file into records, whatever program wrote them."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from webapp.campaigns.errors import ImportTooBig, UnreadableImport

MAX_BYTES = 16 * 1024 * 1024
MAX_CELL = 100_000
DELIMITERS = ",;\t|"
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
NAMES = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text, and the encoding it was found to be in."""

    text: str
    encoding: str


def decode(content: bytes) -> Text:
    """Return the text of a file. Raises ImportTooBig or UnreadableImport."""
    if len(content) > MAX_BYTES:
        raise ImportTooBig(
            f"The file has {len(content) / 1024 / 1024:.1f} MB. The most is "
            f"{MAX_BYTES // 1024 // 1024} MB: split it into several and import one after another."
        )
    for encoding in _candidates(content):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return Text(text.removeprefix("\ufeff"), NAMES.get(encoding, "UTF-16"))
    raise UnreadableImport(
        "The file is in no encoding we can read. Save it as “CSV UTF-8” and try again."
    )


def _candidates(content: bytes) -> Iterator[str]:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            yield encoding
            return
    yield "utf-8"
    # Windows' "Unicode" without its mark: every second byte of ASCII is zero.
    head = content[:2000]
    if head[1::2].count(0) > len(head) // 4:
        yield "utf-16-le"
    if head[0::2].count(0) > len(head) // 4:
        yield "utf-16-be"
    yield "cp1252"


def records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells), the heading first. Raises UnreadableImport."""
    csv.field_size_limit(MAX_CELL)
    # Not by splitlines(): to it a name with an odd space in it would be two lines.
    lines = list(io.StringIO(text, newline=""))
    first = next((line for line in lines if line.strip()), "")
    reader = csv.reader(lines, delimiter=max(DELIMITERS, key=first.count), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableImport(
            f"Line {line} can't be told apart into cells ({error}): a quote in a cell must be "
            "doubled, and every opened quote closed."
        ) from None
