"""What spam filters may not like, each a hint with its reason; and how heavy a mail is."""

import re
from collections.abc import Iterator

from webapp.campaigns import marks
from webapp.campaigns.marks import Mark
from webapp.campaigns.services.checking.finding import Finding, Sheet, hint, warning
from webapp.campaigns.services.checking.words import is_shouting
from webapp.campaigns.services.compiling import Compiled, fill, has_layout
from webapp.campaigns.services.compiling.sheet import LEAVE_MARK
from webapp.core.state import current_config

# Gmail shows no more than 102 KB of a message and hides the rest behind "View entire message".
CLIP_BYTES = 102_400
FEW_WORDS = 20
HUGE_PIXELS = 48
PHRASES = re.compile(
    r"\b(?:100% free|act now|buy now|call now|cash bonus|click below|double your|earn \$|"
    r"extra income|free!+|free gift|free money|guaranteed|limited time|make money|no obligation|"
    r"once in a lifetime|order now|risk[- ]free|urgent|viagra|winner|you have been selected|"
    r"you won)\b!*",
    re.IGNORECASE,
)
FONT_SIZE = re.compile(r"font(?:-size)?\s*:[^;\"]{0,80}?(\d+)px", re.IGNORECASE)
WORD = re.compile(r"\w{2,}")


def check_size(sheet: Sheet) -> Iterator[Finding]:
    if sheet.compiled is None:
        return
    size = typical_bytes(sheet.compiled)
    if size > CLIP_BYTES:
        yield warning(
            "clipped",
            f"The mail is about {size / 1024:.0f} KB and Gmail cuts off after "
            f"{CLIP_BYTES // 1024} KB, the unsubscribe link with it: shorten it.",
        )
    elif size > 0.8 * CLIP_BYTES:
        yield hint("clipped", f"The mail is about {size / 1024:.0f} KB; Gmail cuts off after 102.")


def typical_bytes(compiled: Compiled) -> int:
    """Return how big the HTML is once links and names stand in it."""
    link = len(current_config().base_url) + 60

    def grown(mark: Mark) -> str:
        return "x" * (link if mark.name.startswith("@") else 10)

    return len(fill(compiled.html, grown).encode())


def check_spam(sheet: Sheet) -> Iterator[Finding]:
    if sheet.compiled is None:
        return
    written = sheet.compiled.written
    # Every word of it, without addresses: marks stand for those.
    words = WORD.findall("".join(part for part in marks.split(written) if isinstance(part, str)))
    yield from _check_phrases(f"{sheet.variant.subject}\n{written}")
    yield from _check_amount(sheet.compiled, words)
    yield from _check_shouting(written)
    yield from _check_fonts(sheet)
    yield from _check_text(sheet, words)
    if not has_layout(sheet.email) and LEAVE_MARK not in sheet.variant.body.replace(" ", ""):
        yield hint(
            "leaving_added",
            "The body has no {{@leave}}: a plain unsubscribe link is put at its end. "
            "Put it where you like it.",
        )


def _check_phrases(words: str) -> Iterator[Finding]:
    found = list(dict.fromkeys(match.group().lower() for match in PHRASES.finditer(words)))
    if found:
        yield hint("spam_words", f"Filters know {_quoted(found[:5])} from spam: say it otherwise.")
    if words.count("!!") or words.count("!") > 8:
        yield hint("spam_exclaims", "Many exclamation marks look like spam: take some out.")


def _check_amount(compiled: Compiled, words: list[str]) -> Iterator[Finding]:
    if not words and not compiled.pictures:
        yield warning("empty", "The body says nothing yet.")
    elif compiled.pictures and len(words) < FEW_WORDS:
        yield hint(
            "pictures_alone",
            "Pictures with hardly any words look like spam, and say nothing where pictures are "
            "off: write what they show.",
        )


def _check_shouting(written: str) -> Iterator[Finding]:
    loud = [line for line in written.splitlines() if len(line) > 25 and is_shouting(line)]
    if loud:
        yield hint("spam_capitals", f"“{loud[0][:40]}…” is all capitals: write it in small ones.")


def _check_fonts(sheet: Sheet) -> Iterator[Finding]:
    sizes = [int(size[:5]) for size in FONT_SIZE.findall(sheet.variant.body)]
    if any(size > HUGE_PIXELS for size in sizes):
        yield hint("font_huge", f"Letters of {max(sizes)} pixels look like spam: take 40 at most.")
    if any(0 < size < 8 for size in sizes):
        yield hint("font_tiny", "Letters too small to read look like hidden words to filters.")


def _check_text(sheet: Sheet, words: list[str]) -> Iterator[Finding]:
    own = WORD.findall(sheet.variant.written_text.lower())
    if not own or not words:
        return
    there = {word.lower() for word in words}
    shared = sum(word in there for word in own) / len(own)
    if shared < 0.5 or len(own) * 4 < len(words):
        yield hint(
            "text_differs",
            "The text part says something else than the body, which filters compare: write the "
            "same, or leave it empty and it is made.",
        )


def _quoted(words: list[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)
