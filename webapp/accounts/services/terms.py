"""Terms of use: drafted, published once and for ever, and agreed to by each who has an account."""

import uuid

from sqlalchemy import and_, select
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.errors import InvalidTerms, NoSuchTerms, TermsPublished, TermsVersionTaken
from webapp.accounts.models import TermsAgreement, TermsOfUse, User
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db

MAX_VERSION = 40


def current_terms() -> TermsOfUse | None:
    """Return the version in force, the newest published; None while there is none."""
    newest = select(TermsOfUse).where(TermsOfUse.published_at.is_not(None)).order_by(*_NEWEST)
    return db.session.scalar(newest.limit(1))


_NEWEST = (TermsOfUse.published_at.desc(), TermsOfUse.id.desc())


def find_published(version: str) -> TermsOfUse | None:
    """Return a published version by its name; drafts are nobody's business."""
    return db.session.scalar(
        select(TermsOfUse).where(
            TermsOfUse.version == version, TermsOfUse.published_at.is_not(None)
        )
    )


def list_published() -> list[TermsOfUse]:
    """Return all published versions, the newest first."""
    published = select(TermsOfUse).where(TermsOfUse.published_at.is_not(None))
    return list(db.session.scalars(published.order_by(*_NEWEST)))


def find_owed_terms(user_id: uuid.UUID) -> TermsOfUse | None:
    """Return the version in force if this user has not agreed to it, in one statement."""
    published = select(TermsOfUse.id).where(TermsOfUse.published_at.is_not(None))
    newest = published.order_by(*_NEWEST).limit(1).scalar_subquery()
    owed = (
        select(TermsOfUse)
        .outerjoin(
            TermsAgreement,
            and_(TermsAgreement.terms_id == TermsOfUse.id, TermsAgreement.user_id == user_id),
        )
        .where(TermsOfUse.id == newest, TermsAgreement.id.is_(None))
    )
    return db.session.scalar(owed)


def agree(user: User, terms: TermsOfUse, by: Actor) -> None:
    """Note that the user agrees, with the time; a second time changes nothing. Flushes.

    Raises NoSuchTerms for a draft: nobody can agree to what may still change.
    """
    if terms.published_at is None:
        raise NoSuchTerms
    statement = insert(TermsAgreement).values(
        user_id=user.id, terms_id=terms.id, agreed_at=clock.now()
    )
    added = db.session.scalar(statement.on_conflict_do_nothing().returning(TermsAgreement.id))
    if added is not None:
        record(by, "terms.agreed", f"terms:{terms.id}", user_id=user.id, version=terms.version)
        db.session.flush()


def draft(version: str, title: str, body: str, summary: str, by: Actor) -> TermsOfUse:
    """Begin a version that nobody sees yet. Raises InvalidTerms or TermsVersionTaken."""
    version = _checked(version, body)
    statement = insert(TermsOfUse).values(
        version=version, title=title.strip(), body=body, summary=summary.strip()
    )
    terms: TermsOfUse | None = db.session.scalar(
        statement.on_conflict_do_nothing().returning(TermsOfUse)
    )
    if terms is None:
        raise TermsVersionTaken(version)
    record(by, "terms.drafted", f"terms:{terms.id}", version=version)
    db.session.flush()
    return terms


def revise(terms_id: int, title: str, body: str, summary: str, by: Actor) -> TermsOfUse:
    """Change a draft. Raises TermsPublished for a published version, NoSuchTerms, InvalidTerms."""
    terms = _lock_draft(terms_id)
    _checked(terms.version, body)
    terms.title, terms.body, terms.summary = title.strip(), body, summary.strip()
    record(by, "terms.revised", f"terms:{terms.id}", version=terms.version)
    db.session.flush()
    return terms


def discard(terms_id: int, by: Actor) -> None:
    """Throw a draft away. Raises TermsPublished or NoSuchTerms."""
    terms = _lock_draft(terms_id)
    record(by, "terms.discarded", f"terms:{terms.id}", version=terms.version)
    db.session.delete(terms)
    db.session.flush()


def publish(terms_id: int, by: Actor) -> TermsOfUse:
    """Put a draft in force: from now on it never changes, and everybody is asked to agree.

    Everybody but whoever publishes it, who thereby agrees. Publishing it again changes nothing.
    Raises NoSuchTerms.
    """
    terms = _lock(terms_id)
    if terms.published_at is not None:
        return terms
    terms.published_at = clock.now()
    record(by, "terms.published", f"terms:{terms.id}", version=terms.version)
    publisher = db.session.get(User, by.id) if by.id is not None else None
    if publisher is not None:
        agree(publisher, terms, by)
    db.session.flush()
    return terms


def _checked(version: str, body: str) -> str:
    version = version.strip()
    if not 1 <= len(version) <= MAX_VERSION or not version.isprintable() or "/" in version:
        raise InvalidTerms(f"Name the version with 1 to {MAX_VERSION} characters and no slash.")
    if not body.strip():
        raise InvalidTerms("Terms without a text can't be agreed to.")
    return version


def _lock(terms_id: int) -> TermsOfUse:
    terms = db.session.get(TermsOfUse, terms_id, with_for_update=True, populate_existing=True)
    if terms is None:
        raise NoSuchTerms
    return terms


def _lock_draft(terms_id: int) -> TermsOfUse:
    terms = _lock(terms_id)
    if terms.published_at is not None:
        raise TermsPublished(terms.version)
    return terms
