"""Pages of a shelf: which one was asked for, and which there are."""

import re
from dataclasses import dataclass

from webapp.catalog.queries import PAGE_SIZE, ProductCard, Shelf

NUMBER = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class Page:
    items: list[ProductCard]
    number: int
    pages: int
    total: int


def read_page_number(text: str | None) -> int | None:
    """Return the page number in an address: 1 without one, None when it is none."""
    if text is None:
        return 1
    return int(text) if NUMBER.fullmatch(text) else None


def make_page(shelf: Shelf, number: int) -> Page:
    return Page(shelf.cards, number, max(1, -(-shelf.total // PAGE_SIZE)), shelf.total)
