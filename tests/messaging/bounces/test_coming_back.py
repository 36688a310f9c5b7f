"""A report that names a mail of ours changes whom we write to; any other changes nothing."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobs.messaging import purge_reports, read_reports
from tests.factories.emails import code_of, make_frozen, recipient_of
from tests.factories.people import browser_of, make_user
from tests.messaging.bounces.letters import CAMPAIGN_CODE, MAIL_CODE, report
from webapp.accounts.models import Role
from webapp.campaigns.codes import write_code
from webapp.campaigns.models import Email
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import (
    BounceKind,
    Mail,
    MailBounce,
    MailReport,
    MailState,
    MailSuppression,
    ReportState,
    SuppressionReason,
    SuppressionScope,
)
from webapp.messaging.queries import list_bounces, list_bounces_about
from webapp.messaging.services.bouncing import Refusal, note_refusals
from webapp.messaging.services.reports import receive_message

BOB = "bob@example.com"


@pytest.fixture
def email(session: Session) -> Email:
    return make_frozen([BOB, "carol@example.com"])


def bobs_code(email: Email) -> str:
    return code_of(recipient_of(email, BOB))


def come_in(*messages: bytes) -> list[MailReport]:
    """Take the messages in and read them, as the mail server's pipe and the clock do."""
    for message in messages:
        receive_message(message)
    db.session.commit()
    read_reports()
    return list(db.session.scalars(select(MailReport).order_by(MailReport.id)))


def suppression() -> tuple[str, SuppressionScope, SuppressionReason] | None:
    row = db.session.scalar(select(MailSuppression))
    return row and (row.email, row.scope, row.reason)


def bounces() -> list[MailBounce]:
    return list(db.session.scalars(select(MailBounce).order_by(MailBounce.id)))


def mail(code: str, state: MailState = MailState.SENT, to: str = BOB) -> Mail:
    row = Mail(
        dedupe_key=code,
        kind="note",
        code=code,
        recipient=to,
        sender="a@shop.example",
        subject="s",
        text="t",
        html="h",
        subject_ref="order:42",
        state=state,
    )
    db.session.add(row)
    db.session.commit()
    return row


def test_a_hard_bounce_of_a_campaign_ends_all_mail_to_the_address(email: Email) -> None:
    code = bobs_code(email)
    (kept,) = come_in(report("postfix-unknown-user", code))
    assert (kept.state, kept.error) == (ReportState.DONE, None)
    assert suppression() == (BOB, SuppressionScope.ALL, SuppressionReason.BOUNCE)
    (bounce,) = bounces()
    assert (bounce.email, bounce.code, bounce.kind) == (BOB, code, BounceKind.HARD)
    assert (bounce.status, bounce.source) == ("5.1.1", "mail")
    row = recipient_of(email, BOB)
    assert row.bounced_at is not None
    assert row.complained_at is None
    assert recipient_of(email, "carol@example.com").bounced_at is None


def test_a_server_may_write_the_code_in_capitals(email: Email) -> None:
    content = report("postfix-unknown-user", bobs_code(email).upper())
    come_in(content)
    assert suppression() == (BOB, SuppressionScope.ALL, SuppressionReason.BOUNCE)
    assert bounces()[0].code == bobs_code(email)


def test_a_bounce_of_a_single_mail_is_found_by_its_message_id(app: Flask) -> None:
    row = mail(MAIL_CODE)
    come_in(report("postfix-no-verp"))
    assert suppression() == (BOB, SuppressionScope.ALL, SuppressionReason.BOUNCE)
    # What was sent stays sent; that it came back is told beside it.
    assert row.state is MailState.SENT
    (told,) = list_bounces(MAIL_CODE)
    assert (told.kind, told.diagnostic) == (BounceKind.HARD, "550 No such user here")
    assert list_bounces_about("order:42") == [told]
    assert list_bounces_about("order:43") == []
    owner = browser_of(app, make_user("owner@example.com", role=Role.OWNER), second_factor=True)
    assert "550 No such user here" in owner.get(f"/admin/mails/details/?id={row.id}").text


def test_a_complaint_ends_what_one_may_do_without(email: Email) -> None:
    come_in(report("arf-yahoo", bobs_code(email)))
    assert suppression() == (BOB, SuppressionScope.MARKETING, SuppressionReason.COMPLAINT)
    row = recipient_of(email, BOB)
    assert row.complained_at is not None
    assert row.bounced_at is None


def test_the_same_report_counts_once(email: Email) -> None:
    # Of a time that can't be, ours counts: one moment, wherever it is written.
    once = report("postfix-unknown-user", bobs_code(email)).replace(b"2026", b"2001")
    other_words = report("exim-dsn", bobs_code(email))
    assert len(come_in(once, once, other_words)) == 2
    first = recipient_of(email, BOB).bounced_at
    assert first == bounces()[0].at
    with clock.frozen(clock.now() + timedelta(hours=1)):
        come_in(once + b"\r\n")
    assert len(bounces()) == 1
    assert recipient_of(email, BOB).bounced_at == first


FORGED = {
    "nobody's code": report("postfix-unknown-user", CAMPAIGN_CODE),
    "a number beyond the table": report("postfix-unknown-user", write_code(1, 2**64 - 1, 0)),
    "an address alone": report("address-only"),
    "a code that is none": report("postfix-unknown-user", "z" * 32),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_names_no_mail_of_ours_suppresses_nobody(email: Email, name: str) -> None:
    mail("another-code-of-bobs-mail")
    (kept,) = come_in(FORGED[name])
    assert kept.state is ReportState.DONE
    assert kept.error and "nobody" in kept.error
    assert suppression() is None
    assert [(bounce.email, bounce.code) for bounce in bounces()] == [(BOB, None)]
    assert recipient_of(email, BOB).bounced_at is None


def test_the_numbers_of_a_recipient_without_the_secret_prove_nothing(email: Email) -> None:
    row = recipient_of(email, BOB)
    come_in(report("postfix-unknown-user", write_code(email.id, row.id, row.secret + 1)))
    assert suppression() is None
    assert recipient_of(email, BOB).bounced_at is None


def test_the_address_we_wrote_to_counts_not_the_one_a_report_names(email: Email) -> None:
    content = report("postfix-unknown-user", bobs_code(email))
    come_in(content.replace(b"; bob@example.com", b"; victim@example.com"))
    assert suppression() == (BOB, SuppressionScope.ALL, SuppressionReason.BOUNCE)


@pytest.fixture
def limit_of_two(configured: Callable[..., None]) -> None:
    configured(soft_bounce_limit=2)


def softly(number: int, name: str = "postfix-mailbox-full") -> bytes:
    return report(name, mail(f"mail-number-{number:08}").code)


def test_soft_bounces_of_different_mails_suppress_at_the_limit(
    session: Session, limit_of_two: None
) -> None:
    first = softly(1)
    come_in(first, first + b"\r\n")
    assert suppression() is None
    with clock.frozen(clock.now() + timedelta(days=31)):
        come_in(softly(2))
        assert suppression() is None
        come_in(softly(3))
        assert suppression() == (BOB, SuppressionScope.ALL, SuppressionReason.BOUNCE)


def test_being_taken_for_spam_is_not_the_addresss_fault(
    session: Session, limit_of_two: None
) -> None:
    come_in(*(softly(number, "postfix-spam-block") for number in range(4)))
    assert len(bounces()) == 4
    assert suppression() is None


def test_one_broken_report_does_not_hold_up_the_others(email: Email) -> None:
    hostile = b"From: a\r\nSubject: b\r\n\r\nhello"
    first, second = come_in(hostile, report("postfix-unknown-user", bobs_code(email)))
    assert (first.state, second.state) == (ReportState.UNREADABLE, ReportState.DONE)
    assert first.error
    assert suppression() is not None


def test_a_report_that_breaks_its_reader_is_set_aside(
    email: Email, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("webapp.messaging.services.bouncing.note", broken)
        (kept,) = come_in(report("postfix-unknown-user", bobs_code(email)))
    assert kept.state is ReportState.UNREADABLE
    # What was marked before it broke is undone with it.
    assert recipient_of(email, BOB).bounced_at is None
    kept.state = ReportState.WAITING
    come_in()
    assert suppression() is not None


def test_a_refusal_is_judged_while_sending(session: Session) -> None:
    now = clock.now()
    note_refusals(
        [
            Refusal("a" * 32, "gone@example.com", "550 5.1.1 User unknown", now),
            Refusal("b" * 32, "spam@example.com", "554 5.7.1 Message rejected as spam", now),
            Refusal("c" * 32, "full@example.com", "552 5.2.2 Mailbox full", now),
            Refusal("d" * 32, "gone@example.com", "550 5.1.1 User unknown", now),
        ]
    )
    note_refusals([Refusal("a" * 32, "gone@example.com", "550 5.1.1 User unknown", now)])
    assert suppression() == ("gone@example.com", SuppressionScope.ALL, SuppressionReason.BOUNCE)
    assert db.session.scalar(select(func.count()).select_from(MailSuppression)) == 1
    assert len(bounces()) == 4


def test_old_words_of_strangers_are_forgotten(email: Email) -> None:
    come_in(report("postfix-unknown-user", bobs_code(email)), report("address-only"))
    with clock.frozen(clock.now() + timedelta(days=31)):
        receive_message(b"one that waits still")
        db.session.commit()
        purge_reports()
    rows = list(db.session.scalars(select(MailReport).order_by(MailReport.id)))
    assert [bool(row.content) for row in rows] == [False, False, True]
    assert [bounce.code for bounce in bounces()] == [bobs_code(email)]
    assert suppression() is not None


def test_a_time_that_cannot_be_is_not_believed(email: Email) -> None:
    now = clock.now()
    content = report("postfix-unknown-user", bobs_code(email))
    come_in(content.replace(b"Nov 2026", b"Nov 2099"))
    at = recipient_of(email, BOB).bounced_at
    assert at is not None and now <= at <= clock.now()
