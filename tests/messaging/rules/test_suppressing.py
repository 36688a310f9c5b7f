"""Nobody on the suppression list gets a mail, however the address is spelled."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.races import Race
from webapp.core.audit import OPERATOR, SYSTEM
from webapp.core.db import db
from webapp.core.models import AuditEntry, Job
from webapp.messaging.errors import (
    AddressSuppressed,
    InvalidAddress,
    InvalidHeader,
    NoSuchSuppression,
)
from webapp.messaging.models import Mail, MailState, MailSuppression
from webapp.messaging.models import SuppressionReason as Reason
from webapp.messaging.models import SuppressionScope as Scope
from webapp.messaging.services import post, post_words, send_again
from webapp.messaging.services.composing import Words
from webapp.messaging.services.privacy import is_over
from webapp.messaging.services.senders import Identity
from webapp.messaging.services.suppressing import suppress, suppressed, unsuppress

pytest_plugins = ["tests.races"]
WORDS = Words("A test", "Hello", "<p>Hello</p>")
SPELLINGS = ["Alice@Bücher.example", " alice@xn--bcher-kva.example ", "ALICE@BÜCHER.EXAMPLE"]


def note(recipient: str = "alice@example.com", key: str = "note:1") -> Mail:
    return post_words("note", recipient, WORDS, dedupe_key=key, subject_ref="order:42")


def deny(email: str, scope: Scope = Scope.ALL, reason: Reason = Reason.BOUNCE) -> MailSuppression:
    return suppress(email, scope, reason, "bounce mail", f"{reason.value} {scope.value}")


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_one_mailbox_is_one_address_however_it_is_spelled(app: Flask, spelled: str) -> None:
    deny(spelled)
    assert suppressed(SPELLINGS, marketing=False) == {"alice@xn--bcher-kva.example"}
    assert note(SPELLINGS[0]).state is MailState.SUPPRESSED


def test_what_is_no_address_can_be_asked_for_but_not_listed(app: Flask) -> None:
    assert suppressed(["nobody", "", "a@b@c"], marketing=True) == set()
    assert suppressed([], marketing=True) == set()
    with pytest.raises(InvalidAddress):
        deny("nobody")
    with pytest.raises(InvalidHeader):
        deny("alice@example.com\nbob@example.com")


def test_who_left_the_marketing_still_gets_their_orders_mails(app: Flask) -> None:
    deny("alice@example.com", Scope.MARKETING, Reason.COMPLAINT)
    both = ["alice@example.com", "bob@example.com"]
    assert suppressed(both, marketing=True) == {"alice@example.com"}
    assert suppressed(both, marketing=False) == set()
    assert note().state is MailState.PENDING


def test_all_wins_over_marketing_and_else_the_first_reason_stays(session: Session) -> None:
    first = deny("alice@example.com", Scope.MARKETING, Reason.COMPLAINT)
    assert deny("Alice@example.com", Scope.MARKETING, Reason.MANUAL).reason is Reason.COMPLAINT
    wider = deny("alice@example.com", Scope.ALL, Reason.BOUNCE)
    assert (wider.id, wider.scope, wider.reason) == (first.id, Scope.ALL, Reason.BOUNCE)
    for scope in Scope:
        again = deny("alice@example.com", scope, Reason.MANUAL)
        assert (again.scope, again.reason, again.detail) == (Scope.ALL, Reason.BOUNCE, "bounce all")
    unsuppress("ALICE@example.com", SYSTEM)
    assert session.scalars(select(MailSuppression)).all() == []
    with pytest.raises(NoSuchSuppression):
        unsuppress("alice@example.com", SYSTEM)


def test_the_audit_tells_of_staff_without_the_address(session: Session) -> None:
    row = suppress("alice@example.com", Scope.ALL, Reason.MANUAL, "staff", by=OPERATOR)
    suppress("alice@example.com", Scope.ALL, Reason.MANUAL, "staff", by=OPERATOR)
    unsuppress("alice@example.com", OPERATOR)
    entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [entry.action for entry in entries] == ["suppression.added", "suppression.lifted"]
    assert {entry.subject for entry in entries} == {f"suppression:{row.id}"}
    assert all("alice" not in str(entry.details) for entry in entries)


def test_a_mail_to_a_suppressed_address_is_never_handed_over(
    session: Session, templates: Callable[..., None], run_jobs: Callable[[], int]
) -> None:
    templates("note")
    deny("alice@example.com")
    mail = post("note", "Alice@example.com", {}, dedupe_key="note:1", subject_ref="order:42")
    session.commit()
    assert mail.state is MailState.SUPPRESSED
    assert mail.smtp_reply == "Not sent: the address is on the suppression list."
    assert session.scalars(select(Job)).all() == []
    assert run_jobs() == 0
    assert is_over("note:1")


def test_one_that_waits_when_its_address_is_suppressed_is_withheld_without_a_retry(
    session: Session, run_jobs: Callable[[], int]
) -> None:
    mail = note()
    deny("alice@example.com")
    session.commit()
    assert run_jobs() == 1
    session.refresh(mail)
    assert (mail.state, mail.sent_at) == (MailState.SUPPRESSED, None)
    assert run_jobs() == 0


def test_it_is_sent_again_only_once_the_address_is_off_the_list(
    session: Session, run_jobs: Callable[[], int]
) -> None:
    deny("alice@example.com")
    withheld, failed = note(), note(key="note:2")
    failed.state = MailState.FAILED
    session.commit()
    for mail in (withheld, failed):
        with pytest.raises(AddressSuppressed, match="on the suppression list"):
            send_again(mail.id)
    session.rollback()
    unsuppress("alice@example.com", OPERATOR)
    send_again(withheld.id)
    session.commit()
    run_jobs()
    session.refresh(withheld)
    assert withheld.state is MailState.SENT


def test_words_come_from_the_sender_they_are_given_and_once(session: Session) -> None:
    bob = Identity("Bob, of Birch", "bob@birch.example", None)
    values: dict[str, Any] = {"dedupe_key": "test:1", "subject_ref": "email:7", "sender": bob}
    mail = post_words("test", "alice@example.com", WORDS, **values)
    assert (mail.sender, mail.reply_to) == ('"Bob, of Birch" <bob@birch.example>', None)
    assert (mail.subject, mail.text, mail.html) == ("A test", "Hello", "<p>Hello</p>")
    assert post_words("test", "alice@example.com", WORDS, **values).id == mail.id
    assert note().sender == "Birch & Wool <hello@birch.example>"
    broken = Words("A\r\nBcc: eve@example.com", "", "")
    with pytest.raises(InvalidHeader):
        post_words("test", "alice@example.com", broken, dedupe_key="test:2", subject_ref=None)


def test_ten_reports_of_one_address_at_once_make_one_row(race: Race) -> None:
    def report(scope: Scope) -> None:
        deny("alice@example.com", scope)
        db.session.commit()

    race.run(*[lambda scope=scope: report(scope) for scope in [*Scope] * 5])
    row = db.session.scalars(select(MailSuppression)).one()
    assert row.scope is Scope.ALL
