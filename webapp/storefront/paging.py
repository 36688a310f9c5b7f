"""Pages of a shelf: which one was asked for, and which there are."""

import re
from dataclasses import dataclass

from webapp.catalog.queries import PAGE_SIZE, ProductCard
from webapp.storefront.queries import ShelfPage

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


def make_page(found: ShelfPage, number: int) -> Page:
    pages = max(1, -(-found.total // PAGE_SIZE))
    return Page(found.cards, number, pages, found.total)
