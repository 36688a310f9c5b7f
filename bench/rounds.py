"""Fair comparison on a busy machine: short slices in turn, and the median of each contestant."""

from collections.abc import Callable, Mapping
from statistics import median
from typing import TypeVar

Sample = TypeVar("Sample")


def alternate(
    contestants: Mapping[str, Callable[[], Sample]], rounds: int
) -> dict[str, list[Sample]]:
    """Return each contestant's samples. All run once in every round, so that drift hits all alike.

    Each round begins with another one: none always follows the same neighbour's heat.
    """
    names = list(contestants)
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            samples[name].append(contestants[name]())
    return samples


def middle(values: list[float]) -> float:
    """Return the median, rounded to what such a measurement can tell."""
    return round(median(values), 2)
