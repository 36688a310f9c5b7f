"""What an audience can ask of people: a registry that other capabilities add their questions to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Subquery

from webapp.campaigns.services.audiences.rules import Condition

# Who is asked: a row with the columns of ``people.everyone``. An answer is never NULL.
Ask = Callable[[Subquery, Condition], ColumnElement[bool]]


class Takes(StrEnum):
    """What the ``value`` of a condition is.

    ``amount`` is in minor units of the shop's currency. ``words`` is a list of texts, ``things``
    a list of ids (numbers) or names (slugs, codes), ``mails`` one of ids of mails, where none
    means any mail, ``choices`` one of the words that ``Field.choices`` offers, ``plans`` one of
    names of plans (slugs), where none means any plan.
    """

    NOTHING = "nothing"
    NUMBER = "number"
    AMOUNT = "amount"
    WORDS = "words"
    THINGS = "things"
    MAILS = "mails"
    CHOICES = "choices"
    PLANS = "plans"


@dataclass(frozen=True, slots=True)
class Op:
    """One way to ask. ``words`` has a place for the ``{value}``.

    ``within``: ``days`` may narrow it. ``negates``: the answer is turned round.
    """

    name: str
    words: str
    takes: Takes = Takes.NOTHING
    within: bool = False
    negates: bool = False


def no_choices() -> Sequence[tuple[str, str]]:
    return ()


def lacks_nothing(_: Condition) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Question:
    """A field of conditions. ``theme`` sorts long lists.

    ``choices`` are ``(value, title)``; ``lacks`` are a condition's words that name nothing.
    """

    field: str
    title: str
    theme: str
    ops: tuple[Op, ...]
    ask: Ask
    choices: Callable[[], Sequence[tuple[str, str]]] = no_choices
    lacks: Callable[[Condition], Sequence[str]] = lacks_nothing

    def op(self, name: str) -> Op | None:
        return next((op for op in self.ops if op.name == name), None)


_questions: dict[str, Question] = {}


def offer(question: Question) -> None:
    """Let audiences ask this from now on: a capability below this one is asked on its behalf."""
    if question.field in _questions:
        raise ValueError(f"there is a question about {question.field!r} already")
    _questions[question.field] = question


def find_question(field: str) -> Question | None:
    return _questions.get(field)


def list_questions() -> list[Question]:
    """Return all questions in the order they were offered, which is that of their themes."""
    return list(_questions.values())
