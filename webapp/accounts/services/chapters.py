"""What accounts know of a person, for their copy: no secrets, and no other people."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, or_, select

from webapp.accounts.models import (
    Address,
    ContactMessage,
    EmailChange,
    LinkedIdentity,
    LoginSession,
    Member,
    Passkey,
    PersonNote,
    Prospect,
    RecoveryCode,
    TermsAgreement,
    TermsOfUse,
    Totp,
    User,
)
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.core.privacy import Chapter, Person, among, lowered, rows_of

OURS = ("id", "user_id", "member_id", "prospect_id")


def chapters(person: Person) -> Iterator[Chapter]:
    member = person.member_id or 0
    yield Chapter("profile", "Your account: who you are to us.", _profile(person))
    yield Chapter(
        "addresses",
        "Addresses you saved.",
        rows_of(Address, Address.member_id == member, leave_out=OURS),
    )
    yield Chapter(
        "sessions",
        "Devices you logged in with, and when.",
        rows_of(
            LoginSession,
            LoginSession.user_id == person.user_id,
            leave_out=(*OURS, "secret_hash"),
        ),
    )
    yield Chapter(
        "sign_in_methods", "How you log in, without the secrets.", _sign_in_methods(person)
    )
    yield Chapter("terms", "Terms of use you agreed to, and when.", _terms(person))
    yield Chapter("activity", "What was done with your account, when and by whom.", _audit(person))
    yield Chapter(
        "contact_messages",
        "Messages you sent us through the contact form.",
        rows_of(
            ContactMessage,
            ContactMessage.prospect_id.in_(_met(person)),
            among(lowered(ContactMessage.email), person.addresses),
            leave_out=(*OURS, "handled_by", "why_held"),
        ),
    )
    about = or_(PersonNote.member_id == member, PersonNote.prospect_id.in_(_met(person)))
    yield Chapter(
        "notes",
        "What our staff noted about you.",
        rows_of(PersonNote, about, leave_out=(*OURS, "author_id")),
    )


def _met(person: Person) -> Select[int]:
    """Select the prospects whose history is this person's alone.

    One stays with its member when the address has become somebody else's: the one is told nothing
    of what the other wrote from there, nor the other of the one.
    """
    nobody_elses = or_(Prospect.member_id.is_(None), Prospect.member_id == person.member_id)
    return select(Prospect.id).where(among(Prospect.id, person.prospects), nobody_elses)


def _profile(person: Person) -> dict[str, Any]:
    account = rows_of(
        User, User.id == person.user_id, leave_out=("password_hash", "password_changed_at")
    )
    member = rows_of(Member, Member.user_id == person.user_id, leave_out=OURS)
    met = rows_of(Prospect, Prospect.id.in_(_met(person)), leave_out=OURS)
    changes = rows_of(EmailChange, EmailChange.user_id == person.user_id, leave_out=OURS)
    return {
        "account": next(account),
        "member": next(member, None),
        "met_before": list(met),
        "email_changes": list(changes),
    }


def _sign_in_methods(person: Person) -> dict[str, Any]:
    mine = person.user_id
    user = db.session.get_one(User, mine)
    codes = select(func.count()).where(RecoveryCode.user_id == mine, RecoveryCode.used_at.is_(None))
    keys = ("id", "user_id", "credential_id", "public_key", "sign_count")
    app = rows_of(Totp, Totp.user_id == mine, leave_out=("user_id", "secret", "last_step"))
    return {
        "password": {"set": user.password_hash is not None, "changed": user.password_changed_at},
        "passkeys": list(rows_of(Passkey, Passkey.user_id == mine, leave_out=keys)),
        "authenticator_app": next(app, None),
        "recovery_codes_left": db.session.scalar(codes),
        "accounts_elsewhere": list(
            rows_of(LinkedIdentity, LinkedIdentity.user_id == mine, leave_out=OURS)
        ),
    }


def _terms(person: Person) -> Iterator[dict[str, Any]]:
    agreed = (
        select(TermsOfUse.version, TermsOfUse.title, TermsAgreement.agreed_at)
        .join(TermsOfUse, TermsOfUse.id == TermsAgreement.terms_id)
        .where(TermsAgreement.user_id == person.user_id)
        .order_by(TermsAgreement.id)
    )
    return (dict(row) for row in db.session.execute(agreed).mappings())


def _audit(person: Person) -> Iterator[dict[str, Any]]:
    entries = rows_of(
        AuditEntry, AuditEntry.user_id == person.user_id, leave_out=("id", "user_id", "request_id")
    )
    for row in entries:
        # Which of the staff it was is that person's own data.
        row["by_yourself"] = row.pop("actor_id") == person.user_id
        yield row
