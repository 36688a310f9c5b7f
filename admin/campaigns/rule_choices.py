"""What the rows of an audience's form offer to choose from."""

from sqlalchemy import select

from webapp.campaigns.models import Email, EmailState
from webapp.campaigns.services.audiences.fields import Op, Question, Takes, list_questions
from webapp.catalog.models import Collection, Product, ProductStatus
from webapp.core.db import db

MAILS = 100
THINGS = 200
Choice = tuple[str, str]


def asks() -> list[tuple[str, list[Choice]]]:
    """Return every question with the ways it can be asked, as ``field:op`` and in words."""
    return [(each.title, [_ask(each, op) for op in each.ops]) for each in list_questions()]


def _ask(question: Question, op: Op) -> Choice:
    words = op.words.replace("{value}", "…").removesuffix(" …")
    return f"{question.field}:{op.name}", words


def picks() -> dict[str, list[Choice]]:
    """Return what can be ticked, by field."""
    found: dict[str, list[Choice]] = {}
    mails: list[Choice] | None = None
    for question in list_questions():
        takes = {op.takes for op in question.ops}
        if takes & {Takes.CHOICES, Takes.PLANS}:
            found[question.field] = list(question.choices())
        elif Takes.MAILS in takes:
            mails = _mails() if mails is None else mails
            found[question.field] = mails
    return found


def _mails() -> list[Choice]:
    unsent = (EmailState.DRAFT, EmailState.READY, EmailState.SCHEDULED)
    newest = select(Email.id, Email.name).where(Email.state.not_in(unsent))
    rows = db.session.execute(newest.order_by(Email.id.desc()).limit(MAILS))
    return [(str(key), name) for key, name in rows]


def known_things() -> dict[str, list[Choice]]:
    """Return the names of things that a browser completes while they are typed."""
    products = (
        select(Product.slug, Product.title)
        .where(Product.status == ProductStatus.PUBLISHED)
        .order_by(Product.title)
        .limit(THINGS)
    )
    collections = select(Collection.slug, Collection.title).order_by(Collection.title).limit(THINGS)
    return {
        "product": [(slug, title) for slug, title in db.session.execute(products)],
        "collection": [(slug, title) for slug, title in db.session.execute(collections)],
    }
