"""Who people are: where they live, since when we know them and from where, and their tags."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Subquery, exists, func, or_

from webapp.accounts.models import ProspectSource
from webapp.campaigns.models import PersonTag
from webapp.campaigns.services.audiences.fields import Op, Question, Takes, offer
from webapp.campaigns.services.audiences.rules import LONGEST_DAYS, Condition
from webapp.campaigns.services.audiences.wanting import wants_any
from webapp.core import clock
from webapp.core.shop import get_shop
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import TOPICS
from webapp.orders.countries import country_names

THEME = "Person"


def _country(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    codes = [word.upper() for word in condition.words]
    return func.upper(person.c.country).in_(codes)


def _tag(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    tags = [word.lower() for word in condition.words]
    found = exists().where(PersonTag.email == person.c.address, PersonTag.tag.in_(tags))
    return found.correlate(person)


def _source(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    return person.c.source.in_(condition.words)


def _joined(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    days = min(condition.number, LONGEST_DAYS)
    return person.c.joined_at >= clock.now() - timedelta(days=days)


def _member(person: Subquery, _: Condition) -> ColumnElement[bool]:
    return person.c.is_member.is_(True)


def _consent(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    return wants_any(person, [MailTopic(word) for word in condition.words])


def _domain(person: Subquery, condition: Condition) -> ColumnElement[bool]:
    """Ask for a domain with those below it."""
    names = [word.lower().removeprefix("@") for word in condition.words]
    domain = func.split_part(person.c.address, "@", 2)
    below = [domain.endswith(f".{name}", autoescape=True) for name in names]
    return or_(domain.in_(names), *below)


def _countries() -> Sequence[tuple[str, str]]:
    names = country_names(get_shop().locale)
    return sorted(names.items(), key=lambda item: item[1])


def _sources() -> Sequence[tuple[str, str]]:
    return [(source.value, source.value.capitalize()) for source in ProspectSource]


def _topics() -> Sequence[tuple[str, str]]:
    return [(topic.topic.value, topic.title) for topic in TOPICS]


def _is(words: str, other: str, takes: Takes) -> tuple[Op, ...]:
    return (Op("is", words, takes), Op("is_not", other, takes, negates=True))


QUESTIONS = (
    Question(
        "country",
        "Country",
        THEME,
        _is("lives in {value}", "doesn't live in {value}", Takes.CHOICES),
        _country,
        _countries,
    ),
    Question(
        "tag",
        "Tag",
        THEME,
        _is("is tagged {value}", "isn't tagged {value}", Takes.WORDS),
        _tag,
    ),
    Question(
        "source",
        "How we met",
        THEME,
        _is("was met by {value}", "wasn't met by {value}", Takes.CHOICES),
        _source,
        _sources,
    ),
    Question(
        "joined",
        "Known since",
        THEME,
        (
            Op("within", "was met in the last {value} days", Takes.NUMBER),
            Op("before", "was met more than {value} days ago", Takes.NUMBER, negates=True),
        ),
        _joined,
    ),
    Question(
        "member",
        "Account",
        THEME,
        (Op("is", "has an account"), Op("is_not", "has no account", negates=True)),
        _member,
    ),
    Question(
        "consent",
        "Mails they want",
        THEME,
        _is("wants {value}", "doesn't want {value}", Takes.CHOICES),
        _consent,
        _topics,
    ),
    Question(
        "domain",
        "Domain of the address",
        THEME,
        _is("has an address at {value}", "has no address at {value}", Takes.WORDS),
        _domain,
    ),
)

for _question in QUESTIONS:
    offer(_question)
