"""Gives every person of a mail's audience a row of their own, which freezes the audience."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from typing import cast as cast_type

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CursorResult,
    Select,
    SmallInteger,
    Subquery,
    Text,
    case,
    cast,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import BIT, Insert, insert

from webapp.campaigns import marks
from webapp.campaigns.errors import NoSuchEmail, WrongEmailState
from webapp.campaigns.models import (
    NOT_YET,
    Email,
    EmailRecipient,
    EmailState,
    RecipientState,
)
from webapp.campaigns.services.audiences.people import people_of
from webapp.campaigns.services.audiences.sizing import give_room
from webapp.campaigns.services.local_time import set_due_times
from webapp.core import clock
from webapp.core.db import db, take_turns

# Who is told apart by what: anything else is looked for among what an import knew of them.
NAMES = frozenset({"name", "first_name", "last_name", "email", "country"})
OPEN = (EmailState.READY, EmailState.SCHEDULED, EmailState.SENDING, EmailState.PAUSED)
TOO_EARLY_OR_LATE = (
    "Recipients are added to a mail that is ready, scheduled, sending or paused: its words must "
    "stand, and it must not be over."
)


def populate(email_id: int) -> int:
    """Add a row for everybody who is to get the mail and has none; returns how many were added.

    One statement, however many there are; a second time adds only who is new. Suppression and
    consent are asked again when each mail is sent: a row is no right to be written to.
    Flushes. Raises NoSuchEmail, or WrongEmailState while its words may still change, and
    when it is over.
    """
    # A web request must be quick, this may be long, and another one may be at it.
    db.session.execute(text("SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = 0"))
    # Two at once would both number the same people for the A/B test.
    take_turns(f"populate:{email_id}")
    email = db.session.get(Email, email_id, populate_existing=True)
    if email is None:
        raise NoSuchEmail
    if email.state not in OPEN:
        raise WrongEmailState(TOO_EARLY_OR_LATE)
    give_room()
    now = clock.now()
    # Counted by RETURNING they would all travel here.
    statement = insert_recipients(email, now).execution_options(preserve_rowcount=True)
    added = cast_type("CursorResult[Any]", db.session.execute(statement)).rowcount
    _note(email, added, now)
    if email.in_recipients_zone and email.scheduled_at is not None and added:
        set_due_times(email_id, email.scheduled_at)
    db.session.refresh(email)
    return added


def populate_some(email: Email, addresses: Collection[str]) -> set[str]:
    """Add rows for a few people whom a sequence has come to; returns who of them has one.

    Who is missing does not want the mail, must not be written to, or is not meant by it. Flushes.
    """
    statement = insert_recipients(email, clock.now(), addresses)
    # Two steps at once may come to the same person: whoever got a row keeps it. A whole audience
    # is populated in turns, where asking a million times would be half the work.
    keep = statement.on_conflict_do_nothing(index_elements=["address", "email_id"])
    added = len(db.session.scalars(keep.returning(EmailRecipient.id)).all())
    if added:
        counted = {"population": Email.population + added, "updated_at": Email.updated_at}
        db.session.execute(update(Email).where(Email.id == email.id).values(counted))
    has_row = select(EmailRecipient.address).where(
        EmailRecipient.email_id == email.id, EmailRecipient.address.in_(addresses)
    )
    return set(db.session.scalars(has_row))


def insert_recipients(
    email: Email, now: datetime, addresses: Collection[str] | None = None
) -> Insert:
    """Return the statement that adds those (among ``addresses``) who have no row yet."""
    newcomer = _newcomers(email, addresses)
    of = newcomer.c
    variant, due_at = _spread(newcomer, email, now)
    # In the order of the index over addresses: a million random places in it cost seconds.
    rows = select(
        literal(email.id, BigInteger),
        _secret(of.address),
        of.address,
        _fields(newcomer, email),
        variant,
        literal(RecipientState.PENDING, EmailRecipient.state.type),
        literal(0, SmallInteger()),
        due_at,
    ).order_by(of.address)
    columns = ["email_id", "secret", "address", "fields", "variant", "state", "attempts", "due_at"]
    return insert(EmailRecipient).from_select(columns, rows, include_defaults=False)


def variables_of(email: Email) -> frozenset[str]:
    """Return the names of the variables that the mail's words use."""
    return frozenset().union(
        *(
            marks.variables(each.subject, each.preheader, each.body, each.written_text)
            for each in email.variants
        )
    )


def _newcomers(email: Email, addresses: Collection[str] | None) -> Subquery:
    person = people_of(email).subquery("wanted")
    has_row = exists().where(
        EmailRecipient.address == person.c.address, EmailRecipient.email_id == email.id
    )
    columns: list[ColumnElement[Any]] = list(person.c)
    if len(email.variants) > 1:
        columns.append(func.row_number().over(order_by=func.random()).label("place"))
        columns.append(func.count().over().label("newcomers"))
    statement: Select[Any] = select(*columns).where(~has_row.correlate(person))
    if addresses is not None:
        statement = statement.where(person.c.address.in_(addresses))
    return statement.subquery("newcomer")


def _spread(
    newcomer: Subquery, email: Email, now: datetime
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the variant and the due time of each newcomer.

    Before a winner is known, a random part of them gets the variants in turn and the others wait;
    after that all get the winner.
    """
    at_once = literal(now, EmailRecipient.due_at.type)
    numbers: Sequence[int] = [each.number for each in email.variants]
    if len(numbers) < 2 or email.ab_winner is not None:
        return literal(email.ab_winner or numbers[0], SmallInteger()), at_once
    place = newcomer.c.place
    turn = cast((place - 1) % len(numbers), SmallInteger)
    variant = cast(case(dict(enumerate(numbers)), value=turn, else_=numbers[0]), SmallInteger)
    if email.ab_share in (None, 100):
        return variant, at_once
    share = func.ceil(newcomer.c.newcomers * email.ab_share / 100.0)
    tested = place <= func.greatest(share, len(numbers))
    later = literal(NOT_YET, EmailRecipient.due_at.type)
    return (
        case((tested, variant), else_=literal(numbers[0], SmallInteger())),
        case((tested, at_once), else_=later),
    )


def _fields(newcomer: Subquery, email: Email) -> ColumnElement[Any]:
    """Return what the mail's variables are for each newcomer; empty ones are left out."""
    used = sorted(variables_of(email))
    if not used:
        return func.jsonb_build_object()
    pairs: list[Any] = []
    for name in used:
        pairs += [literal(name, Text), func.nullif(_value(newcomer, name), "")]
    return func.jsonb_strip_nulls(func.jsonb_build_object(*pairs))


def _value(newcomer: Subquery, name: str) -> ColumnElement[Any]:
    of = newcomer.c
    full = func.btrim(of.name)
    known: dict[str, ColumnElement[Any]] = {
        "name": full,
        "first_name": func.split_part(full, " ", 1),
        "last_name": func.btrim(func.substr(full, func.length(func.split_part(full, " ", 1)) + 1)),
        "email": of.address,
        "country": of.country,
    }
    return known[name] if name in known else of.attributes.op("->>")(literal(name, Text))


def _secret(address: ColumnElement[str]) -> ColumnElement[int]:
    """Return 64 bits that nobody can guess, those of other recipients in hand.

    A key of 244 random bits, made anew by every statement and never kept, hashed with the
    address: asking the system for random bits a million times takes three times as long.
    """
    half = func.uuid_send(func.gen_random_uuid())
    key = select(half.op("||")(func.uuid_send(func.gen_random_uuid()))).scalar_subquery()
    digest = func.sha256(key.op("||")(func.convert_to(address, "UTF8")))
    bits = literal("x", Text) + func.encode(func.substr(digest, 1, 8), "hex")
    return cast(cast(bits, BIT(64)), BigInteger)


def _note(email: Email, added: int, now: datetime) -> None:
    """Count the newcomers; whoever changed the mail's state meanwhile undoes everything.

    So does who took it back and made it ready anew: it may be meant for others by now.
    """
    same = Email.ready_at.is_not_distinct_from(email.ready_at)
    noted = db.session.scalar(
        update(Email)
        .where(Email.id == email.id, Email.state.in_(OPEN), same)
        .values(
            population=Email.population + added,
            populated_at=now,
            # Not a change by somebody.
            updated_at=Email.updated_at,
        )
        .returning(Email.id)
    )
    if noted is None:
        raise WrongEmailState(TOO_EARLY_OR_LATE)
