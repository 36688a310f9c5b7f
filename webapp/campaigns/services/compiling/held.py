"""Keeps an author's marks whole while Markdown, MJML and CSS change the words around them."""

import html
import re
import secrets
from collections.abc import Callable, Iterator, Mapping

from webapp.campaigns import marks
from webapp.campaigns.marks import Mark


class Held:
    """Each mark becomes a word that no format knows, and comes back at the end.

    ``constants`` are variables that are the same for everybody, so they are filled in here.
    A fallback comes back as it is read: whoever fills it into HTML escapes it, like a value.
    """

    def __init__(self, constants: Mapping[str, str]) -> None:
        word = f"m{secrets.token_hex(6)}n"
        self._constants = constants
        self._word = word
        self._marks: list[Mark] = []
        self._pattern = re.compile(rf"{word}(\d+)x")

    def hold(self, words: str) -> str:
        """Return plain words or Markdown with their marks hidden."""
        return self._hold(words, str)

    def hold_markup(self, words: str) -> str:
        """Return HTML or MJML with its marks hidden; entities in a fallback are read."""
        return self._hold(words, html.unescape)

    def _hold(self, words: str, read: Callable[[str], str]) -> str:
        return "".join(
            part if isinstance(part, str) else self._hide(part, read) for part in marks.split(words)
        )

    def _hide(self, mark: Mark, read: Callable[[str], str]) -> str:
        fallback = None if mark.fallback is None else read(mark.fallback)
        self._marks.append(Mark(mark.name, fallback, mark.number))
        return f"{self._word}{len(self._marks) - 1}x"

    def marks_in(self, words: str) -> Iterator[Mark]:
        """Yield the marks hidden in ``words`` that are not the same for everybody."""
        for found in self._pattern.finditer(words):
            mark = self._marks[int(found.group(1))]
            if mark.name not in self._constants:
                yield mark

    def to_text(self, words: str) -> str:
        """Return plain words with their marks again."""
        return self._pattern.sub(lambda found: self._show(found, str), words)

    def to_html(self, words: str) -> str:
        """Return HTML with its marks again."""
        return self._pattern.sub(lambda found: self._show(found, html.escape), words)

    def _show(self, found: re.Match[str], escape: Callable[[str], str]) -> str:
        mark = self._marks[int(found.group(1))]
        constant = self._constants.get(mark.name)
        return marks.write(mark) if constant is None else escape(constant)
