"""Bringing people in from other systems' files, with the proof of what they agreed to."""

import csv
import io
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.factories.people import make_user
from webapp.accounts.models import Prospect, ProspectSource
from webapp.campaigns.errors import ImportTooBig, UnreadableImport
from webapp.campaigns.models import EmailType, PersonTag
from webapp.campaigns.services.audiences import count_people
from webapp.campaigns.services.importing import ImportChoices, ImportReport, import_prospects
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry
from webapp.messaging.models import MailConsent, MailSuppression, MailTopic, SuppressionScope
from webapp.messaging.services.consent import give_consent, wants

NEWS = MailTopic.NEWSLETTER
MAILCHIMP = """\
"Email Address","First Name","Last Name",Phone,TAGS,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,\
CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,\
EUID,NOTES,UNSUB_TIME,CLEAN_TIME
Alice@Example.com,Alice,Adams,0664 1,"""
MAILCHIMP += '"""VIP"",""Summer Fair""",5,"2019-03-04 10:00:00",1.2.3.4,"2019-03-04 11:00:00",'
MAILCHIMP += """1.2.3.4,48.2,16.3,1,2,Europe/Vienna,at,9,"2020-01-01 00:00:00",1,a1,Nice,,
bob@example.com,Bob,,,,2,,,,,,,,,,US,,,2,a2,,,
charlie@example.com,Charlie,,,,2,,,,,,,,,,,,,3,a3,,"2021-05-05 08:00:00",
dora@example.com,Dora,,,,2,,,,,,,,,,,,,4,a4,,,"2021-06-06 08:00:00"
"""
LISTMONK = """\
uuid,email,name,attributes,status,created_at,updated_at
u1,alice@example.com,Alice,"{""City"": ""Graz"", ""orders"": 3, ""x"": {""y"": 1}}",enabled,1,2
u2,bob@example.com,Bob,{},blocklisted,1,2
u3,charlie@example.com,Charlie,{},disabled,1,2
"""


def bring(content: str | bytes, *, dry_run: bool = False, **choices: Any) -> ImportReport:
    data = content.encode() if isinstance(content, str) else content
    chosen = ImportChoices(**({"source": "signed up at the fair"} | choices))
    return import_prospects(data, chosen, SYSTEM, dry_run=dry_run)


def prospects(session: Session) -> dict[str, Prospect]:
    session.expire_all()
    return {each.email: each for each in session.scalars(select(Prospect))}


def figures(session: Session) -> list[int]:
    models = (Prospect, MailConsent, MailSuppression, PersonTag, AuditEntry)
    counts = [session.scalar(select(func.count()).select_from(model)) for model in models]
    return [count or 0 for count in counts]


def test_mailchimps_file_is_understood(session: Session) -> None:
    rehearsal = bring(MAILCHIMP, dry_run=True)
    assert figures(session) == [0, 0, 0, 0, 0]
    report = bring(MAILCHIMP)
    assert report.applied
    assert not rehearsal.applied
    assert (report.rows, report.created, report.agreed, report.left, report.suppressed) == (
        rehearsal.rows,
        rehearsal.created,
        rehearsal.agreed,
        rehearsal.left,
        rehearsal.suppressed,
    )
    assert (report.created, report.agreed, report.left, report.suppressed) == (2, 2, 1, 1)
    assert report.tagged == 2
    known = prospects(session)
    assert set(known) == {"alice@example.com", "bob@example.com"}
    alice = known["alice@example.com"]
    assert (alice.name, alice.country, alice.time_zone) == ("Alice Adams", "AT", "Europe/Vienna")
    assert (alice.source, alice.attributes) == (ProspectSource.IMPORT, {})
    assert set(session.scalars(select(PersonTag.tag))) == {"vip", "summer fair"}
    said = {each.email: each for each in session.scalars(select(MailConsent))}
    assert set(said) == {"alice@example.com", "bob@example.com", "charlie@example.com"}
    assert said["alice@example.com"].source == "import: signed up at the fair"
    assert said["alice@example.com"].at.isoformat() == "2019-03-04T11:00:00+00:00"
    assert not said["charlie@example.com"].wanted
    dead = session.scalars(select(MailSuppression)).one()
    assert (dead.email, dead.scope) == ("dora@example.com", SuppressionScope.ALL)
    assert {"Phone", "NOTES", "MEMBER_RATING"} <= set(report.unused_columns)
    # What Mailchimp notes for itself is nobody's loss.
    assert not {"EUID", "LEID", "LAST_CHANGED"} & set(report.unused_columns)
    words = "\n".join(report.sentences())
    assert "Not kept: the columns CONFIRM_IP" in words
    before = figures(session)
    again = bring(MAILCHIMP)
    assert figures(session) == before
    assert (again.created, again.changed, again.agreed, again.left) == (0, 0, 0, 0)
    assert count_people(EmailType.BOTH, NEWS).wanted == 2


def test_listmonks_file_is_understood(session: Session) -> None:
    report = bring(LISTMONK, keep=("attributes",), tags=("Old list",))
    known = prospects(session)
    assert known["alice@example.com"].attributes == {"city": "Graz", "orders": 3}
    assert [line.sentence for line in report.notes.shown()] == [
        "The attribute “x” is no single value, and is left out."
    ]
    assert set(known) == {"alice@example.com", "charlie@example.com"}
    assert (report.agreed, report.silent, report.suppressed, report.left) == (1, 1, 1, 1)
    assert not wants("charlie@example.com", NEWS)
    blocked = session.scalars(select(MailSuppression)).one()
    assert (blocked.email, blocked.scope) == ("bob@example.com", SuppressionScope.MARKETING)
    assert bring(LISTMONK).unused_columns == ("attributes",)


def test_a_no_that_somebody_said_here_stays(session: Session) -> None:
    give_consent("alice@example.com", NEWS, False, "unsubscribe")
    give_consent("bob@example.com", NEWS, True, "account")
    give_consent("charlie@example.com", NEWS, True, "account")
    file = (
        "email,unsub_time\nalice@example.com,\nbob@example.com,2020-01-01 10:00:00\n"
        "charlie@example.com,2100-01-01 10:00:00\n"
    )
    report = bring(file)
    assert (report.kept_no, report.agreed, report.left) == (1, 0, 1)
    assert [wants(f"{name}@example.com", NEWS) for name in ("alice", "bob", "charlie")] == [
        False,
        True,
        False,
    ]
    assert "1 said no here, and that stays." in list(report.sentences())


def test_what_is_known_stays_and_gaps_are_filled(session: Session) -> None:
    make_user("bob@example.com", password=None)
    session.add(
        Prospect(
            email="alice@example.com",
            source=ProspectSource.CART,
            name="Alice A.",
            attributes={"colour": "red", "shoe": "38"},
        )
    )
    session.flush()
    file = (
        "Email;Name;Favourite Colour;Colour;Country;Note\n"
        "ALICE@example.com;Alice;;blue;Austria;x\nbob@example.com;Bob;green;;Nowhere;\n"
    )
    report = bring(file, keep=("Favourite Colour", "colour"))
    known = prospects(session)
    alice, bob = known["alice@example.com"], known["bob@example.com"]
    assert (alice.name, alice.country, alice.source) == ("Alice A.", "AT", ProspectSource.CART)
    assert alice.attributes == {"colour": "blue", "shoe": "38"}
    assert bob.attributes == {"favourite_colour": "green"}
    # An account's owner is met as what they are.
    assert bob.member_id is not None
    assert (report.created, report.changed) == (1, 1)
    assert report.unused_columns == ("Note",)
    assert "“Nowhere” is no country" in report.notes.shown()[0].sentence
    with pytest.raises(UnreadableImport, match="no column to keep named Size"):
        bring(file, keep=("Size",))


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_encodings_and_delimiters(session: Session, encoding: str, said: str) -> None:
    file = "E-Mail\tFirst Name\r\nzoë@example.com\tZoë\r\n\r\n\r\njürgen@bücher.example\tJ\r\n"
    file = file.replace("zoë@", "zoe@").replace("jürgen@", "jurgen@")
    report = bring(file.encode(encoding))
    assert (report.encoding, report.created) == (said, 2)
    known = prospects(session)
    assert known["zoe@example.com"].name == "Zoë"
    assert "jurgen@xn--bcher-kva.example" in known


def test_each_wrong_line_is_told_and_nothing_is_imported(session: Session) -> None:
    file = (
        "email,name,status\nalice@example.com,Alice,\nnobody,N,\n,Empty,\n"
        "=1+1@example.com,F,\nbob@example.com,Bob,maybe\nx@example.com,a,b,c\n"
        "álice@example.com,A,\n"
    )
    report = bring(file)
    assert not report.applied
    assert [line.line for line in report.problems.shown()] == [3, 4, 5, 6, 7, 8]
    assert figures(session) == [0, 0, 0, 0, 0]
    assert "Nothing was imported: 6 to mend." in list(report.sentences())


def test_odd_lines_are_taken_with_a_note(session: Session) -> None:
    file = (
        'email,name,tags,timezone\nalice@example.com,"=HYPERLINK(1)",,Mars/Base\n'
        'ALICE@EXAMPLE.COM,Alice,"a,b",\nalice@example.com,Other,B,\n'
        'bob@example.com,"Bob\nBuilder",,\n'
    )
    report = bring(file)
    known = prospects(session)
    assert known["alice@example.com"].name == "Alice"
    assert known["bob@example.com"].name == "Bob Builder"
    assert (report.rows, report.people, report.repeated, report.tagged) == (4, 2, 2, 2)
    assert [line.line for line in report.notes.shown()] == [2, 2]


def test_what_postgres_has_no_number_for_is_left_out(session: Session) -> None:
    odd = '"{""a"": NaN, ""b"": 1e999, ""c"": 2}"'
    deep = '"' + "[" * 90_000 + '"'
    file = f"email,name,attributes\na@example.com,A\u2028B,{odd}\nb@example.com,,{deep}\n"
    report = bring(file, keep=("attributes",))
    known = prospects(session)
    assert (known["a@example.com"].name, known["a@example.com"].attributes) == ("A B", {"c": 2})
    assert known["b@example.com"].attributes == {}
    assert [line.line for line in report.notes.shown()] == [2, 2, 3]


def test_of_two_lines_the_stricter_counts(session: Session) -> None:
    file = "email,status\na@example.com,subscribed\na@example.com,unsubscribed\n"
    report = bring(file + "a@example.com,subscribed\n")
    assert (report.agreed, report.left, report.created) == (0, 1, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty"),
        (b"name,phone\nAlice,1\n", "no column “Email”"),
        (b"alice@example.com\nbob@example.com\n", "begin with a person"),
        (b'email\n"alice@example.com\n', "can't be told apart"),
        (b"email\n\x81\x8d\xff\x00\n", "no encoding we can read"),
    ],
)
def test_files_that_are_none_are_refused(session: Session, content: bytes, words: str) -> None:
    with pytest.raises(UnreadableImport, match=words):
        bring(content)


def test_too_big_a_file_and_no_proof_are_refused(session: Session) -> None:
    with pytest.raises(ImportTooBig, match=r"The most is 16 MB"):
        bring(b"email\n" + b"x" * (16 << 20))
    with pytest.raises(UnreadableImport, match="where and when these people agreed"):
        bring("email\na@example.com\n", source=" x ")


def test_a_long_file_is_quick_business(session: Session) -> None:
    lines = io.StringIO()
    out = csv.writer(lines)
    out.writerow(["Email Address", "First Name", "TAGS"])
    for number in range(3000):
        out.writerow([f"reader{number}@example.com", f"R{number}", '"a","b"'])
    report = bring(lines.getvalue())
    assert (report.created, report.agreed, report.tagged) == (3000, 3000, 6000)
