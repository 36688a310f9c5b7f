"""The rooms of addresses that get no mail, of what came back, and of unreadable reports."""

import csv
import io

from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting
from tests.factories.emails import code_of, make_frozen, recipient_of
from webapp.accounts.models import LoginSession, Role
from webapp.accounts.services.sessions import PROOF_LASTS
from webapp.core import clock
from webapp.core.models import AuditEntry, Job
from webapp.messaging.models import (
    BounceKind,
    MailBounce,
    MailReport,
    MailSuppression,
    ReportSource,
    ReportState,
    SuppressionReason,
    SuppressionScope,
)
from webapp.messaging.services.suppressing import suppress

ALICE, BOB = "alice@example.com", "bob@example.com"
ROOM, BOUNCES, REPORTS = "/admin/suppressions/", "/admin/bounces/", "/admin/reports/"
FILE = "email,scope,reason\nBob@example.com,all,bounce\ncharlie@example.com,,\n"


def keep(session: Session, email: str = ALICE, detail: str = "") -> MailSuppression:
    row = suppress(email, SuppressionScope.ALL, SuppressionReason.BOUNCE, "mail", detail)
    session.commit()
    return row


def upload(browser: FlaskClient, content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    answer = browser.post(f"{ROOM}import/", data={"file": (io.BytesIO(raw), "list.csv")})
    return answer.text


def token_of(page: str) -> str:
    return page.split('name="token" value="', 1)[1].split('"', 1)[0]


def listed(session: Session) -> set[str]:
    return set(session.scalars(select(MailSuppression.email)))


def test_an_address_is_added_with_its_reason_and_found_again(
    owner: FlaskClient, session: Session
) -> None:
    typed = {"email": " Alice@example.com", "scope": "marketing", "reason": "manual"}
    answer = owner.post(f"{ROOM}new/", data=typed | {"detail": "Asked on the phone"})
    assert answer.status_code == 303
    page = owner.get(answer.location).text
    assert "Asked on the phone" in page
    assert "Campaigns only" in page
    assert ALICE in owner.get(f"{ROOM}?search=alice").text
    assert ALICE in owner.get(f"{ROOM}?search=alice@example.com&scope=marketing").text
    assert ALICE not in owner.get(f"{ROOM}?scope=all").text
    wrong = owner.post(f"{ROOM}new/", data=typed | {"email": "nobody"})
    assert wrong.status_code == 422
    assert listed(session) == {ALICE}
    deeds = session.scalars(select(AuditEntry).where(AuditEntry.action == "suppression.added"))
    assert [str(deed.details).count("alice") for deed in deeds] == [0]


def test_removing_is_grave_done_once_and_written_down(owner: FlaskClient, session: Session) -> None:
    row = keep(session)
    page = owner.get(f"{ROOM}details/?id={row.id}").text
    assert 'data-confirm="Remove it?' in page
    assert "may be written to again" in act(owner, f"{ROOM}remove/", id=row.id)
    assert "nothing here" in act(owner, f"{ROOM}remove/", id=row.id, back=ROOM)
    assert listed(session) == set()
    found = session.scalars(select(AuditEntry.action).where(AuditEntry.action.like("suppression%")))
    assert list(found) == ["suppression.lifted"]


def test_a_stale_proof_is_asked_for_before_an_address_is_let_go(
    owner: FlaskClient, session: Session
) -> None:
    row = keep(session)
    session.scalars(select(LoginSession)).one().proven_at = clock.now() - PROOF_LASTS
    session.commit()
    answer = owner.post(f"{ROOM}remove/", data={"id": row.id})
    assert "/prove" in answer.location
    assert listed(session) == {ALICE}


def test_a_file_is_looked_at_first_and_brought_in_by_a_second_press(
    owner: FlaskClient, session: Session
) -> None:
    page = upload(owner, FILE)
    assert "bob@example.com gets no mail" in page
    assert "Do it: 2 addresses" in page
    assert listed(session) == set()
    token = token_of(page)
    assert "2 of 2 lines changed the list" in act(owner, f"{ROOM}import/", token=token)
    assert listed(session) == {BOB, "charlie@example.com"}
    assert "no longer here" in owner.post(f"{ROOM}import/", data={"token": token}).text
    assert "All of it is on the list already" in upload(owner, FILE)


def test_a_file_that_is_none_says_what_is_wrong_line_by_line(owner: FlaskClient) -> None:
    broken = upload(owner, "email\nnobody\nbob@example.com\n")
    assert '<td class="number">2</td>' in broken
    assert 'name="token"' not in broken
    assert "Choose a CSV file" in upload(owner, "")
    assert "no encoding we can read" in upload(owner, b"\xff\xfe\x00")


def test_anothers_upload_is_not_brought_in(enter: Enter, session: Session) -> None:
    token = token_of(upload(enter(Role.MANAGER), FILE))
    answer = enter(Role.ADMIN).post(f"{ROOM}import/", data={"token": token})
    assert answer.status_code == 422
    assert listed(session) == set()


def test_the_exported_list_is_no_formula_and_comes_in_again(
    owner: FlaskClient, session: Session
) -> None:
    keep(session, detail='=HYPERLINK("http://evil.example")')
    keep(session, BOB)
    answer = owner.get(f"{ROOM}export.csv")
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["email"] for row in rows} == {ALICE, BOB}
    assert {row["detail"][:2] for row in rows} == {"'=", ""}
    assert "All of it is on the list already" in upload(owner, answer.text)


def test_an_address_that_looks_like_a_formula_comes_back_as_it_was(
    owner: FlaskClient, session: Session
) -> None:
    odd = {"+alice@example.com", "-bob@example.com", "'+charlie@example.com"}
    for address in odd:
        keep(session, address)
    exported = owner.get(f"{ROOM}export.csv").text
    assert "\n'+alice@example.com," in exported.replace("\r", "")
    session.execute(delete(MailSuppression))
    session.commit()
    act(owner, f"{ROOM}import/", token=token_of(upload(owner, exported)))
    assert listed(session) == odd


def test_an_address_that_is_there_already_is_not_said_to_be_added(
    owner: FlaskClient, session: Session
) -> None:
    typed = {"email": ALICE, "scope": "marketing", "reason": "manual", "detail": "First"}
    assert owner.post(f"{ROOM}new/", data=typed).status_code == 303
    again = owner.post(f"{ROOM}new/", data=typed | {"email": "Alice@example.com", "detail": "x"})
    assert again.status_code == 422
    assert "is on the list already and gets no campaign" in again.text
    wider = owner.post(f"{ROOM}new/", data=typed | {"scope": "all"})
    assert wider.status_code == 303
    narrower = owner.post(f"{ROOM}new/", data=typed)
    assert "is on the list already and gets no mail at all" in narrower.text
    row = session.scalars(select(MailSuppression).execution_options(populate_existing=True)).one()
    assert (row.scope, row.detail) == (SuppressionScope.ALL, "First")


def test_who_may_look_may_not_change(enter: Enter, session: Session) -> None:
    row = keep(session)
    staff = enter(Role.STAFF)
    page = staff.get(f"{ROOM}details/?id={row.id}").text
    assert ALICE in page
    assert "Remove" not in page
    assert staff.get(f"{ROOM}export.csv").status_code == 200
    for path in ("remove/", "import/", "new/"):
        assert staff.post(f"{ROOM}{path}", data={"id": row.id}).status_code == 403
    assert enter(Role.VIEWER).get(ROOM).status_code == 403


def add_bounce(session: Session, number: int, code: str | None) -> None:
    session.add(
        MailBounce(
            key=f"b{number}",
            email=ALICE,
            code=code,
            kind=BounceKind.HARD,
            status="5.1.1",
            source="mail",
        )
    )


def test_bounces_lead_to_the_mail_they_are_about_in_few_statements(
    owner: FlaskClient, session: Session
) -> None:
    recipient = recipient_of(make_frozen([ALICE]), ALICE)
    for number in range(12):
        add_bounce(session, number, code_of(recipient) if number % 2 else f"mail-{number}")
    session.commit()
    with counting() as statements:
        page = owner.get(BOUNCES).text
    assert len(statements) <= DOOR + 5, "\n".join(statements.statements)
    assert page.count(f"/admin/recipients/details/?id={recipient.email_id}-{recipient.id}") == 6
    assert page.count(ALICE) >= 12


def test_an_unreadable_report_waits_for_a_person_who_reads_it_again_or_sets_it_aside(
    owner: FlaskClient, session: Session
) -> None:
    reports = [
        MailReport(
            key=f"r{number}",
            source=ReportSource.MAIL,
            content=b"\xff\0<script>",
            state=ReportState.UNREADABLE,
            error="It is no report.",
        )
        for number in range(2)
    ]
    session.add_all(reports)
    session.commit()
    again, aside = (report.id for report in reports)
    assert "Unreadable reports" in owner.get("/admin/").text
    page = owner.get(f"{REPORTS}details/?id={again}").text
    assert "&lt;script&gt;" in page
    assert "It is no report." in page
    assert "is read again" in act(owner, f"{REPORTS}read-again/", id=again)
    assert "not unreadable any more" in act(owner, f"{REPORTS}read-again/", id=again)
    assert "waits for nobody" in act(owner, f"{REPORTS}set-aside/", id=aside)
    session.expire_all()
    states = [session.get_one(MailReport, key).state for key in (again, aside)]
    assert states == [ReportState.WAITING, ReportState.DONE]
    assert "Unreadable reports" not in owner.get("/admin/").text
    assert session.scalars(select(Job.path)).all() == []
