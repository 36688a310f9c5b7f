"""Forgetting a person: the login stays as an empty stone that the books can point at.

Two transactions, and any process may die at any point of them:

1. ``say_goodbye``: the account opens no more, and a last mail is posted to its address.
2. Once that mail is over (sent, refused, or out of tries), one transaction erases everything, the
   row of that mail included. So nothing has to remember the address afterwards.

Killed before a commit, the next round does the step again: the mail's key makes it one mail.
"""

import logging
import uuid
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select, text, update

from webapp.accounts.models import (
    Address,
    ContactMessage,
    DataExport,
    EmailChange,
    Erasure,
    LinkedIdentity,
    LoginSession,
    Member,
    Passkey,
    PersonNote,
    Prospect,
    RecoveryCode,
    SessionEnd,
    TermsAgreement,
    Totp,
    User,
)
from webapp.accounts.queries.privacy import identify
from webapp.accounts.services.sessions import end_all
from webapp.core import clock
from webapp.core.audit import SYSTEM, record
from webapp.core.db import Base, db
from webapp.core.models import AuditEntry
from webapp.core.privacy import Person, Tally, among, blot_out, lowered, run
from webapp.core.queue import Queue, enqueue
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.services import post
from webapp.messaging.services.privacy import is_over

logger = logging.getLogger(__name__)

# A mail server may be away; that somebody is told is worth less than that they are forgotten.
PATIENCE = timedelta(hours=20)

MAIL_TAKES = timedelta(minutes=1)
ERASE = "jobs.privacy.erase_due"

BELONGINGS = (LoginSession, EmailChange, Passkey, Totp, RecoveryCode, LinkedIdentity, DataExport)
AGREED = "Which terms were agreed to, and when: proof of the contract, tied to the id alone."
ACTED = "Who did what, by id alone, with the first part of the network: nobody may change it."
STONE = "An id without a name, which the books and the audit point at."
WROTE = "What staff wrote about others, who have a right to it."
ELSEWHERE = {
    "stripe": "Payments and what was typed there: Stripe keeps its own records, as the law on "
    "payments makes it.",
    "backups": "Copies of the database, until they are rotated out.",
    "mailboxes": "Mails that were delivered belong to whoever received them.",
}


def say_goodbye(user_id: uuid.UUID) -> bool:
    """Close the door for good and post the last mail; flushes.

    Returns whether there is something to erase; False while another worker is at it, too.
    """
    user = _lock(user_id)
    if user is None:
        return False
    if user.active:
        user.active = False
        end_all(user.id, SessionEnd.CLOSED, SYSTEM)
        db.session.flush()
        _post_farewell(user)
        # Sooner than the clock's next round, which is the one that can be relied on.
        enqueue(ERASE, queue=Queue.MAINTENANCE, run_at=clock.now() + MAIL_TAKES)
    return True


def _lock(user_id: uuid.UUID) -> User | None:
    due = User.erase_after <= clock.now(), User.erased_at.is_(None), User.role.is_(None)
    return db.session.scalar(
        select(User)
        .where(User.id == user_id, *due)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def _post_farewell(user: User) -> None:
    if user.email_verified_at is None:
        return
    key, subject = _farewell(user.id), f"user:{user.id}"
    try:
        post("account_erased", user.email, {}, dedupe_key=key, subject_ref=subject)
    except (InvalidAddress, InvalidHeader):
        logger.exception("no mail about an erasure", extra={"user": str(user.id)})


def _farewell(user_id: uuid.UUID) -> str:
    return f"account_erased:{user_id}"


def begin(user_id: uuid.UUID) -> Person | None:
    """Lock the user and return who is to be erased now; None if nobody, or not yet."""
    user = _lock(user_id)
    if user is None or user.active:
        return None
    impatient = user.erase_after is not None and user.erase_after + PATIENCE <= clock.now()
    if not impatient and not is_over(_farewell(user_id)):
        return None
    # What is searched may be long.
    db.session.execute(text("SET LOCAL statement_timeout = '10min'"))
    return identify(user)


def list_session_ids(person: Person) -> list[uuid.UUID]:
    mine = LoginSession.user_id == person.user_id
    return list(db.session.scalars(select(LoginSession.id).where(mine)))


def list_subjects(person: Person) -> list[str]:
    """Return what is theirs, as jobs and mails name it."""
    wrote = select(ContactMessage.id).where(among(ContactMessage.prospect_id, person.prospects))
    messages = list(db.session.scalars(wrote))
    known = [f"member:{person.member_id}"] if person.member_id else []
    return [
        person.subject,
        *known,
        *(f"prospect:{prospect_id}" for prospect_id in person.prospects),
        *(f"contact:{message_id}" for message_id in messages),
    ]


def words_of(person: Person) -> list[str]:
    """Return names, streets and numbers that the person left with their account."""
    member = person.member_id or 0
    found = set()
    for model in (Member, Address):
        key = Member.id if model is Member else Address.member_id
        for row in db.session.execute(select(model.name, model.phone).where(key == member)):
            found |= set(row)
    found |= set(db.session.scalars(select(Address.line1).where(Address.member_id == member)))
    met = select(Prospect.name).where(among(Prospect.id, person.prospects))
    return sorted(found | set(db.session.scalars(met)))


def telling(words: list[str]) -> list[str]:
    """Return the words that say who somebody is wherever they stand: no "Al" and no "Main"."""
    long = {word for word in words if len(word) >= 8}
    return sorted(word for word in long if any(not sign.isalpha() for sign in word))


def erase(person: Person, tally: Tally) -> list[str]:
    """Erase what accounts know; flushes. Returns the names of files to delete after the commit."""
    files = select(DataExport.file_name).where(DataExport.user_id == person.user_id)
    names = [name for name in db.session.scalars(files.with_for_update()) if name]
    for model in BELONGINGS:
        _delete(tally, model, model.user_id == person.user_id)
    member = person.member_id or 0
    _delete(tally, Address, Address.member_id == member)
    _erase_notes(person, member, tally)
    theirs = or_(
        among(ContactMessage.prospect_id, person.prospects),
        among(lowered(ContactMessage.email), person.addresses),
    )
    _delete(tally, ContactMessage, theirs)
    _empty(person, tally)
    return names


def _delete(tally: Tally, model: type[Base], where: ColumnElement[bool]) -> None:
    tally.erased(model.__tablename__, run(delete(model).where(where)))


def _erase_notes(person: Person, member: int, tally: Tally) -> None:
    about = or_(PersonNote.member_id == member, among(PersonNote.prospect_id, person.prospects))
    _delete(tally, PersonNote, about)
    for model, column in (
        (PersonNote, PersonNote.text),
        (ContactMessage, ContactMessage.text),
        (ContactMessage, ContactMessage.subject),
    ):
        changed = blot_out(model, column, person.addresses)
        tally.anonymised(model.__tablename__, changed, "Others' words, without the address.")
    wrote = select(func.count()).where(PersonNote.author_id == person.user_id)
    tally.kept("person_note", db.session.scalar(wrote) or 0, WROTE)


def _empty(person: Person, tally: Tally) -> None:
    """Leave of prospects, member and user what other rows point at."""
    now = clock.now()
    met = update(Prospect).where(among(Prospect.id, person.prospects))
    unnamed = "erased-" + func.cast(Prospect.id, Prospect.email.type) + "@erased.invalid"
    known = {"name": "", "country": "", "time_zone": "", "attributes": {}}
    tally.anonymised("prospect", run(met.values(email=unnamed, erased_at=now, **known)), STONE)
    member = update(Member).where(Member.user_id == person.user_id)
    tally.anonymised("member", run(member.values(name="", phone="")), STONE)
    user = update(User).where(User.id == person.user_id)
    stone = {
        "email": f"erased-{person.user_id}@erased.invalid",
        "email_verified_at": None,
        "password_hash": None,
        "password_changed_at": None,
        "last_login_at": None,
        "active": False,
        "erased_at": now,
    }
    tally.anonymised("user", run(user.values(stone)), STONE)


def finish(person: Person, tally: Tally) -> None:
    """Write the report, which says nothing of the person; flushes."""
    agreed = select(func.count()).where(TermsAgreement.user_id == person.user_id)
    tally.kept("terms_agreement", db.session.scalar(agreed) or 0, AGREED)
    told = or_(AuditEntry.user_id == person.user_id, AuditEntry.actor_id == person.user_id)
    tally.kept("audit_entry", db.session.scalar(select(func.count()).where(told)) or 0, ACTED)
    report = {"tables": tally.tables, "elsewhere": ELSEWHERE}
    db.session.add(Erasure(user_id=person.user_id, report=report))
    record(SYSTEM, "member.erased", person.subject, user_id=person.user_id)
    db.session.flush()
