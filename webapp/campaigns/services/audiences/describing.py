"""The rules of an audience as a person says them."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Select, select

from webapp.campaigns.models import Email
from webapp.campaigns.services.audiences.conditions import meaning
from webapp.campaigns.services.audiences.fields import Op, Question, Takes
from webapp.campaigns.services.audiences.rules import Condition, Group, Match, Rules
from webapp.catalog.models import Collection, Product, Sku
from webapp.core.db import db
from webapp.core.money import format_money
from webapp.core.shop import get_shop

JOINED = {Match.ALL: " and ", Match.ANY: " or ", Match.NONE: " or "}
UNNAMED = {Takes.MAILS: "any mail", Takes.PLANS: "any plan"}
# What the numbers of a question name.
NAMED: Mapping[str, Select[int, str]] = {
    "received": select(Email.id, Email.name),
    "opened": select(Email.id, Email.name),
    "clicked": select(Email.id, Email.name),
    "product": select(Product.id, Product.title),
    "collection": select(Collection.id, Collection.title),
    "sku": select(Sku.id, Sku.code),
}


def describe(rules: Rules) -> str:
    """Return the rules in words: ``Everybody who ordered in the last 30 days and lives in Peru``.

    Raises InvalidRules when a condition makes no sense any more.
    """
    if not rules.of:
        return "Everybody."
    return f"Everybody who {_group(rules, _names_in(rules))}."


def describe_part(part: Condition | Group) -> str:
    """Return one condition or group in words: ``ordered in the last 30 days``."""
    names = _names_in(part)
    return _group(part, names) if isinstance(part, Group) else _condition(part, names)


def _group(group: Group, names: Mapping[str, Mapping[int, str]]) -> str:
    parts = [
        _nested(part, names) if isinstance(part, Group) else _condition(part, names)
        for part in group.of
    ]
    words = JOINED[group.match].join(parts) or "is anybody"
    return f"does not meet any of: {words}" if group.match is Match.NONE else words


def _nested(group: Group, names: Mapping[str, Mapping[int, str]]) -> str:
    return f"({_group(group, names)})"


def _condition(condition: Condition, names: Mapping[str, Mapping[int, str]]) -> str:
    question, op = meaning(condition)
    words = op.words.format(value=_value(question, op, condition, names))
    if condition.days is None:
        return words
    days = "day" if condition.days == 1 else f"{condition.days} days"
    return f"{words} in the last {days}"


def _value(
    question: Question, op: Op, condition: Condition, names: Mapping[str, Mapping[int, str]]
) -> str:
    if op.takes is Takes.AMOUNT:
        shop = get_shop()
        return format_money(condition.number, shop.currency, shop.locale)
    if op.takes is Takes.NUMBER:
        return str(condition.number)
    if op.takes in UNNAMED and not (condition.numbers or condition.words):
        return UNNAMED[op.takes]
    titles = {value.lower(): title for value, title in question.choices()}
    said = [titles.get(word.lower(), word) for word in condition.words]
    if op.takes in (Takes.MAILS, Takes.THINGS):
        known = names.get(question.field, {})
        said = [f"“{word}”" for word in said]
        said += [f"“{known.get(number, f'#{number}')}”" for number in condition.numbers]
    return _either(said)


def _either(words: list[str]) -> str:
    """Return ``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))


def _names_in(part: Condition | Group) -> dict[str, dict[int, str]]:
    """Return what the numbers in the tree name, one query a field however many there are."""
    conditions: Iterable[Condition] = part.conditions() if isinstance(part, Group) else [part]
    asked: dict[str, set[int]] = {}
    for condition in conditions:
        if condition.field in NAMED and condition.numbers:
            asked.setdefault(condition.field, set()).update(condition.numbers)
    return {field: _named(field, numbers) for field, numbers in asked.items()}


def _named(field: str, numbers: set[int]) -> dict[int, str]:
    statement = NAMED[field]
    key = statement.selected_columns[0]
    return dict(db.session.execute(statement.where(key.in_(numbers))).all())
