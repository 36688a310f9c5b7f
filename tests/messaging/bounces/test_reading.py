"""What mail servers write is understood, and whatever else somebody sends breaks nothing."""

from datetime import UTC, datetime

import pytest

from tests.effort import calls_of
from tests.messaging.bounces.letters import CAMPAIGN_CODE, FOLDER, MAIL_CODE, report
from webapp.messaging.bounces import Reading, read, return_path
from webapp.messaging.models import BounceKind, ReportSource

HARD, SOFT, COMPLAINT = BounceKind.HARD, BounceKind.SOFT, BounceKind.COMPLAINT
BOB = "bob@example.com"


def read_mail(content: bytes) -> Reading:
    return read(ReportSource.MAIL, content)


# name -> kind, status, address
FAILURES = {
    "postfix-unknown-user": (HARD, "5.1.1", BOB),
    "postfix-domain-not-found": (HARD, "5.4.4", BOB),
    "postfix-mailbox-full": (SOFT, "5.2.2", BOB),
    "postfix-spam-block": (SOFT, "5.7.1", BOB),
    "postfix-gave-up": (SOFT, "4.4.1", BOB),
    "postfix-folded-case": (HARD, "5.1.1", BOB),
    "exim-dsn": (HARD, "5.0.0", BOB),
    "exchange-online": (HARD, "5.1.10", BOB),
    "exchange-old": (HARD, "5.1.1", BOB),
    "gmail": (HARD, "5.2.1", BOB),
    "yahoo-no-account": (HARD, "5.0.0", BOB),
    "sendmail-daemon": (HARD, "5.1.1", BOB),
    "utf8-address": (HARD, "5.1.1", "алиса@почта.example"),
    "utf8-encoded": (HARD, "5.1.1", "али@xn--80a1acny.example"),
    "arf-yahoo": (COMPLAINT, "", BOB),
    "arf-aol-redacted": (COMPLAINT, "", None),
    "arf-unknown-kind": (COMPLAINT, "", BOB),
    "arf-hotmail": (COMPLAINT, "", BOB),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_report_says_who_why_and_which_mail(name: str) -> None:
    reading = read_mail(report(name))
    (claim,) = reading.reports
    assert (claim.kind, claim.status, claim.email) == FAILURES[name]
    assert claim.codes[0].lower() == CAMPAIGN_CODE
    assert reading.trouble == ""


@pytest.mark.parametrize("name", ["exim-plain", "qmail"])
def test_each_recipient_has_a_reason_of_its_own(name: str) -> None:
    bob, carol = read_mail(report(name)).reports
    assert (bob.email, bob.kind, bob.status) == (BOB, HARD, "5.1.1")
    assert (carol.email, carol.kind, carol.status) == ("carol@example.com", SOFT, "5.2.2")
    assert bob.codes == carol.codes == (CAMPAIGN_CODE,)
    assert bob.key != carol.key


def test_without_a_return_path_of_its_own_the_message_id_names_the_mail() -> None:
    (claim,) = read_mail(report("postfix-no-verp")).reports
    assert (claim.codes, claim.kind) == ((MAIL_CODE,), HARD)


def test_the_code_survives_the_way_out_and_back() -> None:
    assert return_path("bounces@shop.example", "abc") == "bounces+abc@shop.example"


def test_the_moment_is_the_last_try() -> None:
    (claim,) = read_mail(report("gmail")).reports
    assert claim.at == datetime(2026, 11, 21, 9, 0, 6, tzinfo=UTC)


NOTHING = [
    "postfix-delayed",
    "delivered",
    "away-note",
    "away-note-bare",
    "receipt",
    "arf-not-spam",
]


@pytest.mark.parametrize("name", NOTHING)
def test_news_answers_and_receipts_are_no_bounces(name: str) -> None:
    assert read_mail(report(name)) == Reading()


@pytest.mark.parametrize("name", ["person", "no-recipient"])
def test_what_is_not_understood_is_said(name: str) -> None:
    reading = read_mail(report(name))
    assert reading.reports == ()
    assert reading.trouble


def test_a_report_with_an_address_alone_has_no_code() -> None:
    (claim,) = read_mail(report("address-only")).reports
    assert (claim.codes, claim.email) == ((), BOB)


def nested(depth: int) -> bytes:
    opening = "".join(
        f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        for level in range(depth)
    )
    return b"MIME-Version: 1.0\r\n" + opening.encode() + b"\r\nhello"


GOOD = report("postfix-unknown-user")
BROKEN = {
    "nothing": b"",
    "bytes": bytes(range(256)) * 40,
    "nulls": b"\x00" * 5000,
    "no headers": b"hello\r\n\r\nworld",
    "only colons": b":\r\n" * 1000,
    "nested": nested(20),
    "nested with a long end": nested(20) + b"\r\n" * 50_000,
    "nested beyond reason": nested(5000),
    "messages within messages": b"Content-Type: message/rfc822\r\n\r\n" * 20,
    "boundary without end": b"Content-Type: multipart/report; boundary=" + b"x" * 20_000,
    "boundary in pieces": b"Content-Type: multipart/report; boundary*0*=''%; boundary*1=x\r\n\r\n",
    "unknown charset": GOOD.replace(b"charset=utf-8", b"charset=klingon-8"),
    "wrong charset": GOOD.replace(b"charset=utf-8", b"charset=utf-16"),
    "unknown encoding": GOOD.replace(b"Encoding: 8bit", b"Encoding: x-uuencode"),
    "not base64": report("utf8-encoded").replace(b"UmVwb3J0", b"!!!!"),
    "a header of a megabyte": b"To: " + b"<a@b>, " * 150_000 + b"\r\n\r\nHi. This is the\r\n",
    "addresses without end": b"X-Failed-Recipients: " + b"a@b.c," * 80_000 + b"\r\n\r\nx",
    "qmail without recipients": b"\r\nHi. This is the qmail-send program.\r\n<",
    "dates of nobody": GOOD.replace(b"Sat, 21 Nov 2026", b"Xyz, 99 Foo 99999"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_messages_break_nothing(name: str) -> None:
    reading, calls = calls_of(lambda: read_mail(BROKEN[name]))
    assert calls < 2_500_000
    assert len(reading.reports) <= 1000
    for claim in reading.reports:
        assert "\x00" not in claim.diagnostic + (claim.email or "")


@pytest.mark.parametrize("cut", range(0, len(GOOD), 97))
def test_a_report_cut_anywhere_is_read_or_left(cut: int) -> None:
    assert len(read_mail(GOOD[:cut]).reports) <= 1


def test_a_returned_mail_of_ten_megabytes_does_not_hide_the_report() -> None:
    returned = b"\r\nHello, this line is long.\r\n" * 400_000
    reading, calls = calls_of(lambda: read_mail(GOOD + returned))
    (claim,) = reading.reports
    assert calls < 500_000
    assert (claim.kind, claim.codes) == (HARD, (CAMPAIGN_CODE,))


def test_a_report_within_a_returned_mail_is_no_report() -> None:
    """Somebody forwards a bounce, or our own mail quotes one: the outer message counts."""
    head = b"From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\n"
    assert read_mail(head + GOOD).reports == ()


def test_every_file_is_looked_at() -> None:
    named = {*FAILURES, *NOTHING, "exim-plain", "qmail", "postfix-no-verp", "address-only"}
    assert {path.stem for path in FOLDER.glob("*.eml")} == named | {"person", "no-recipient"}
