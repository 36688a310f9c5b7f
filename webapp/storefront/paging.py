"""Pages of a shelf or a list: which one was asked for, and which there are."""

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from webapp.catalog.queries import PAGE_SIZE, ProductCard
from webapp.storefront.queries import ShelfPage

Item = TypeVar("Item")
NUMBER = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    items: list[Item]
    number: int
    pages: int
    total: int


def read_page_number(text: str | None) -> int | None:
    """Return the page number in an address: 1 without one, None when it is none."""
    if text is None:
        return 1
    return int(text) if NUMBER.fullmatch(text) else None


def make_page(found: ShelfPage, number: int) -> Page[ProductCard]:
    return page_of(found.cards, found.total, number, PAGE_SIZE)


def page_of(items: list[Item], total: int, number: int, size: int) -> Page[Item]:
    """Return page ``number`` (from 1) of ``total`` things, ``size`` to a page."""
    return Page(items, number, max(1, -(-total // size)), total)
