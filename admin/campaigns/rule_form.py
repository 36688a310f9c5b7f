"""The rules of an audience as a form: a tree of rows that is typed, pressed into shape and read.

Fields are named by their place in the tree: ``r-match`` is that of the outermost group,
``r-1-0-ask`` the question of the first row in the group that is the second of its rows.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from werkzeug.datastructures import MultiDict

from webapp.campaigns.errors import InvalidRules
from webapp.campaigns.services.audiences import Condition, Group, Match
from webapp.campaigns.services.audiences.fields import Op, Question, Takes, find_question
from webapp.campaigns.services.audiences.rules import MAX_CONDITIONS, MAX_DEPTH, Value
from webapp.core.errors import DomainError
from webapp.core.money import exponent, parse_amount, to_decimal_text

NAME = re.compile(rf"r((?:-[0-9]{{1,3}}){{0,{MAX_DEPTH}}})-(match|ask|value|pick|days)")
MAX_NAMES = MAX_CONDITIONS * 8
PICKED = (Takes.CHOICES, Takes.MAILS, Takes.PLANS)
Path = tuple[int, ...]


@dataclass(slots=True)
class Row:
    """One condition as it is typed; ``ask`` is ``field:op``, or nothing yet."""

    ask: str = ""
    value: str = ""
    picked: list[str] = field(default_factory=list)
    days: str = ""

    @property
    def meaning(self) -> tuple[Question, Op] | None:
        name, _, how = self.ask.partition(":")
        question = find_question(name)
        op = question.op(how) if question is not None else None
        return (question, op) if question is not None and op is not None else None


@dataclass(slots=True)
class Branch:
    """One group as it is typed."""

    match: str = Match.ALL.value
    parts: "list[Row | Branch]" = field(default_factory=list)


def typed(values: "MultiDict[str, str]") -> Branch:
    """Return the tree that was posted, its rows numbered anew."""
    found: dict[Path, dict[str, list[str]]] = {(): {}}
    for name in list(values)[:MAX_NAMES]:
        match = NAME.fullmatch(name)
        if match is not None:
            path = tuple(int(number) for number in match[1].split("-")[1:])
            texts = [text.replace("\0", "")[:2000] for text in values.getlist(name)[:500]]
            found.setdefault(path, {})[match[2]] = texts
    return _branch(found, ())


def _branch(found: Mapping[Path, Mapping[str, list[str]]], path: Path) -> Branch:
    below = sorted(each for each in found if len(each) == len(path) + 1 and each[:-1] == path)
    parts: list[Row | Branch] = [
        _branch(found, each) if "match" in found[each] else _row(found[each]) for each in below
    ]
    match = found[path].get("match", [""])[0]
    return Branch(match if match in set(Match) else Match.ALL.value, parts)


def _row(fields: Mapping[str, list[str]]) -> Row:
    return Row(
        fields.get("ask", [""])[0],
        fields.get("value", [""])[0],
        list(fields.get("pick", [])),
        fields.get("days", [""])[0].strip(),
    )


def shown(rules: Group, currency: str) -> Branch:
    """Return saved rules as the form shows them."""
    parts = [
        shown(part, currency) if isinstance(part, Group) else _as_row(part, currency)
        for part in rules.of
    ]
    return Branch(rules.match.value, parts)


def _as_row(condition: Condition, currency: str) -> Row:
    row = Row(f"{condition.field}:{condition.op}", days=str(condition.days or ""))
    meaning = row.meaning
    takes = meaning[1].takes if meaning else Takes.WORDS
    if takes in PICKED:
        row.picked = [str(each) for each in _listed(condition.value)]
    elif takes is Takes.AMOUNT and isinstance(condition.value, int):
        amount = Decimal(to_decimal_text(condition.value, currency))
        row.value = f"{amount:.{exponent(currency)}f}"
    else:
        row.value = ", ".join(_worded(each) for each in _listed(condition.value))
        if takes is Takes.NUMBER and isinstance(condition.value, int):
            row.value = str(condition.value)
    return row


def _worded(each: int | str) -> str:
    """A thing is typed by its name, or by its number as #12: a name may be digits alone."""
    return f"#{each}" if isinstance(each, int) else each


def _listed(value: Value | None) -> tuple[Any, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def press(tree: Branch, button: str) -> None:
    """Do what a button of the form says: ``add:0-1``, ``group:``, ``drop:2``; anything else is
    none of its buttons."""
    what, _, where = button.partition(":")
    path = tuple(int(number) for number in re.findall(r"[0-9]{1,3}", where)[:MAX_DEPTH])
    if what == "drop" and path:
        group = _at(tree, path[:-1])
        if group is not None and path[-1] < len(group.parts):
            del group.parts[path[-1]]
        return
    group = _at(tree, path)
    if group is None:
        return
    if what == "add":
        group.parts.append(Row())
    elif what == "group" and len(path) < MAX_DEPTH - 1:
        group.parts.append(Branch(Match.ANY.value, [Row()]))


def _at(tree: Branch, path: Iterable[int]) -> Branch | None:
    here: Branch | Row = tree
    for number in path:
        if not isinstance(here, Branch) or number >= len(here.parts):
            return None
        here = here.parts[number]
    return here if isinstance(here, Branch) else None


def rules_of(tree: Branch, currency: str) -> dict[str, Any]:
    """Return the tree as it is stored; rows that ask nothing are left out. Raises InvalidRules."""
    parts = []
    for part in tree.parts:
        if isinstance(part, Branch):
            inner = rules_of(part, currency)
            if inner["of"]:
                parts.append(inner)
        elif part.ask:
            parts.append(_condition(part, currency))
    return {"match": tree.match, "of": parts}


def _condition(row: Row, currency: str) -> dict[str, Any]:
    meaning = row.meaning
    if meaning is None:
        raise InvalidRules("One of the conditions is none that can be asked. Choose it again.")
    question, op = meaning
    found: dict[str, Any] = {"field": question.field, "op": op.name}
    if op.takes is not Takes.NOTHING:
        found["value"] = _value(row, question, op, currency)
    if op.within and row.days:
        found["days"] = _whole(row.days, question)
    return found


def _value(row: Row, question: Question, op: Op, currency: str) -> Any:
    if op.takes is Takes.NUMBER:
        return _whole(row.value, question)
    if op.takes is Takes.AMOUNT:
        try:
            return parse_amount(row.value.strip(), currency)
        except DomainError as error:
            raise InvalidRules(f"“{question.title}”: {error.sentence}") from None
    words = row.picked if op.takes in PICKED else re.split(r"[,\n]", row.value)
    kept = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    if op.takes is Takes.MAILS:
        return [int(word) for word in kept if re.fullmatch(r"[0-9]{1,12}", word)]
    if op.takes is Takes.THINGS:
        return [int(w[1:]) if re.fullmatch(r"#[0-9]{1,12}", w) else w for w in kept]
    return kept


def _whole(text: str, question: Question) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRules(f"“{question.title}” needs a whole number.")
    return int(text)
