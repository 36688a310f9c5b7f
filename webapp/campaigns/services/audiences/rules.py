"""The rules of an audience: a tree of groups and conditions, read from the JSON that is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from webapp.campaigns.errors import InvalidRules

MAX_CONDITIONS = 50
MAX_DEPTH = 4
LONGEST_DAYS = 36_500

# Postgres takes no NUL, not even to look for it.
Word = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Number = Annotated[StrictInt, Field(ge=0, le=10**12)]
Value = Number | Annotated[tuple[Number | Word, ...], Field(max_length=500)]


class Match(StrEnum):
    """How many of a group's conditions a person has to meet."""

    ALL = "all"
    ANY = "any"
    NONE = "none"


class Condition(BaseModel):
    """One thing that is true of a person or not: ``{"field": "ordered", "op": "ever"}``.

    ``value`` is a number or a list of words and numbers, as the operation takes; ``days`` narrows
    it to what happened in the last days.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str
    op: str
    value: Value | None = None
    days: Annotated[StrictInt, Field(ge=1, le=LONGEST_DAYS)] | None = None

    @property
    def number(self) -> int:
        return self.value if isinstance(self.value, int) else 0

    @property
    def words(self) -> list[str]:
        """The words of a list, without spaces around them."""
        return [each.strip() for each in self._listed() if isinstance(each, str)]

    @property
    def numbers(self) -> list[int]:
        """The numbers of a list."""
        return [each for each in self._listed() if isinstance(each, int)]

    def _listed(self) -> tuple[int | str, ...]:
        return self.value if isinstance(self.value, tuple) else ()


class Group(BaseModel):
    """Conditions and further groups; one without any is met by everybody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match = Match.ALL
    of: tuple[Condition | Group, ...] = ()

    def conditions(self) -> Iterator[Condition]:
        """Yield all conditions of the tree."""
        for each in self.of:
            if isinstance(each, Group):
                yield from each.conditions()
            else:
                yield each

    def depth(self) -> int:
        return 1 + max((each.depth() for each in self.of if isinstance(each, Group)), default=0)


Rules = Group
EVERYBODY = Group()


def read_shape(raw: Mapping[str, Any]) -> Rules:
    """Return the tree in ``raw``, whatever its conditions mean. Raises InvalidRules."""
    try:
        rules = Group.model_validate(raw)
    except (ValidationError, RecursionError):
        raise InvalidRules(
            'These are no rules: a group is {"match": "all", "any" or "none", "of": [...]}, '
            'a condition {"field": ..., "op": ..., "value": ..., "days": ...}.'
        ) from None
    if rules.depth() > MAX_DEPTH:
        raise InvalidRules(f"Groups may be nested {MAX_DEPTH} deep.")
    if sum(1 for _ in rules.conditions()) > MAX_CONDITIONS:
        raise InvalidRules(f"An audience has at most {MAX_CONDITIONS} conditions.")
    return rules


def write_rules(rules: Rules) -> dict[str, Any]:
    """Return the tree as it is stored."""
    return rules.model_dump(mode="json", exclude_none=True)
