"""Rules made into SQL: every condition is one boolean over the person, decided set by set."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, or_, true

from webapp.campaigns.errors import InvalidRules
from webapp.campaigns.services.audiences import (  # noqa: F401 - for what they offer to ask
    being,
    buying,
    reading,
    subscribing,
)
from webapp.campaigns.services.audiences.fields import Op, Question, Takes, find_question
from webapp.campaigns.services.audiences.rules import Condition, Group, Match, Rules, read_shape


def read_rules(raw: Mapping[str, Any]) -> Rules:
    """Return the rules in ``raw``, each condition known to make sense. Raises InvalidRules."""
    rules = read_shape(raw)
    for condition in rules.conditions():
        meaning(condition)
    return rules


def compile_rules(person: Subquery, rules: Rules) -> ColumnElement[bool]:
    """Return whether a person meets the rules; never NULL, so that it can be turned round."""
    parts = [compile_part(person, part) for part in rules.of]
    if not parts:
        return true()
    if rules.match is Match.ALL:
        return and_(*parts)
    return or_(*parts) if rules.match is Match.ANY else and_(*(~part for part in parts))


def compile_part(person: Subquery, part: Condition | Group) -> ColumnElement[bool]:
    """Return whether a person meets one part of a group."""
    if isinstance(part, Group):
        return compile_rules(person, part)
    question, op = meaning(part)
    answer = question.ask(person, part)
    return ~answer if op.negates else answer


def meaning(condition: Condition) -> tuple[Question, Op]:
    """Return what a condition asks and how. Raises InvalidRules."""
    question = find_question(condition.field)
    if question is None:
        raise InvalidRules(f"There is nothing called “{condition.field}” to ask of people.")
    op = question.op(condition.op)
    if op is None:
        known = ", ".join(each.name for each in question.ops)
        raise InvalidRules(f"“{question.title}” can be asked by {known}, not “{condition.op}”.")
    if condition.days is not None and not op.within:
        raise InvalidRules(f"“{question.title}” can't be narrowed to some days.")
    _check_value(question, op, condition)
    return question, op


def _check_value(question: Question, op: Op, condition: Condition) -> None:
    wrong = _CHECKS[op.takes](condition)
    if wrong:
        raise InvalidRules(f"“{question.title}” {wrong}.")
    if op.takes is Takes.CHOICES:
        known = {value.lower() for value, _ in question.choices()}
        for word in condition.words:
            if word.lower() not in known:
                raise InvalidRules(f"“{question.title}” has no choice “{word}”.")


def _nothing(condition: Condition) -> str:
    return "" if condition.value is None else "takes no value with this"


def _number(condition: Condition) -> str:
    return "" if isinstance(condition.value, int) else "needs a whole number"


def _words(condition: Condition) -> str:
    return "" if condition.words and not condition.numbers else "needs one word at least"


def _things(condition: Condition) -> str:
    return "" if condition.words or condition.numbers else "needs one thing at least"


def _mails(condition: Condition) -> str:
    if isinstance(condition.value, int) or condition.words:
        return "needs the numbers of mails, or none for any mail"
    return ""


def _plans(condition: Condition) -> str:
    if isinstance(condition.value, int) or condition.numbers:
        return "needs the names of plans, or none for any plan"
    return ""


_CHECKS = {
    Takes.NOTHING: _nothing,
    Takes.NUMBER: _number,
    Takes.AMOUNT: _number,
    Takes.WORDS: _words,
    Takes.CHOICES: _words,
    Takes.THINGS: _things,
    Takes.MAILS: _mails,
    Takes.PLANS: _plans,
}
