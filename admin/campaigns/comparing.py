"""Mails beside each other: one figure a line, the best of it marked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from admin.campaigns.outcomes import Outcome, each_in_words, percent
from webapp.campaigns.models import Email
from webapp.core.money import format_money

MOST = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """``share`` of the line's largest; None where there is nothing to draw."""

    text: str
    share: float | None
    best: bool


@dataclass(frozen=True, slots=True)
class Line:
    """``good``: more of it is better."""

    title: str
    good: bool
    cells: list[Cell]


def compared(emails: Sequence[Email], outcomes: Mapping[int, Outcome], currency: str) -> list[Line]:
    """Return the figures of the mails, in their order."""
    found = [outcomes[email.id] for email in emails]

    return [
        _counted("Delivered", found, lambda each: each.delivered),
        _rated("Opened", found, lambda each: (each.opened, each.delivered)),
        _rated("Clicked", found, lambda each: (each.clicked, each.delivered)),
        _rated("Clicked, of those who opened", found, lambda each: (each.clicked, each.opened)),
        _rated("Left", found, lambda each: (each.left, each.delivered), good=False),
        _rated("Bounced", found, lambda each: (each.bounced, each.sent), good=False),
        _rated("Complained", found, lambda each: (each.complained, each.delivered), good=False),
        _counted("Orders", found, lambda each: each.orders),
        _rated("Ordered, of those who clicked", found, lambda each: (each.orders, each.clicked)),
        _line(
            "Revenue",
            True,
            [(each.revenue, format_money(each.revenue, currency)) for each in found],
        ),
        _line(
            "Per recipient", True, [(e.per_recipient, each_in_words(e, currency)) for e in found]
        ),
    ]


def _counted(title: str, found: Sequence[Outcome], read: Callable[[Outcome], int]) -> Line:
    return _line(title, True, [(read(each), f"{read(each):,}") for each in found])


def _rated(
    title: str,
    found: Sequence[Outcome],
    read: Callable[[Outcome], tuple[int, int]],
    *,
    good: bool = True,
) -> Line:
    values = [read(each) for each in found]
    rates = [(part / whole if whole else 0.0, percent(part, whole)) for part, whole in values]
    return _line(title, good, rates)


def _line(title: str, good: bool, values: Sequence[tuple[float, str]]) -> Line:
    numbers = [number for number, _ in values]
    top = max(numbers, default=0)
    best = top if good else min(numbers, default=0)
    tells = len(set(numbers)) > 1
    cells = [
        Cell(text, number / top if top else None, tells and number == best)
        for number, text in values
    ]
    return Line(title, good, cells)
