"""Finding a member, reading what they did, and ending what must be ended."""

import itertools
import re
import uuid

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from admin.accounts.members import STATES
from tests.admin.conftest import DOOR, Enter, act, counting, make_order
from tests.admin.people import add_consent, member_of
from tests.admin.rows import add_mail
from tests.factories.people import browser_of, make_user, passkey_of
from tests.plans import measure
from webapp.accounts.models import (
    Address,
    IdentityProvider,
    LinkedIdentity,
    LoginSession,
    Member,
    PersonNote,
    Role,
    SessionEnd,
    TermsAgreement,
    TermsOfUse,
    User,
)
from webapp.core import clock
from webapp.core.models import AuditEntry, Job
from webapp.orders.models import Order, OrderPayment


def names(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/admin/members[^>]*>([^<]+)<', page)


def buy(member: Member, number: int = 1001, refunded: int = 0) -> Order:
    """Return an order of 35.00 by the member."""
    order = make_order(number, email=member.user.email)
    order.member_id = member.id
    order.payment.amount_refunded = refunded
    return order


def path_of(member: Member) -> str:
    return f"/admin/members/details/?id={member.id}"


def deeds(session: Session, action: str) -> list[AuditEntry]:
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


def test_the_list_tells_who_bought_how_much(owner: FlaskClient, session: Session) -> None:
    alice = member_of(make_user("alice@example.com", name="Alice Archer"))
    make_user("bob@example.com", name="Bob Baker", verified=False)
    buy(alice, 1001)
    buy(alice, 1002, refunded=500)
    session.commit()
    page = owner.get("/admin/members/").text
    assert names(page) == ["Bob Baker", "Alice Archer"]
    row = page.split("Alice Archer</a>")[1].split("</tr>")[0]
    assert "alice@example.com" in row
    assert '<td class="number">2</td><td class="number">$65.00</td>' in re.sub(r"\s*\n\s*", "", row)
    assert "Unverified" in page


def test_a_member_is_found_by_address_name_or_number(owner: FlaskClient, session: Session) -> None:
    alice = member_of(make_user("alice@example.com", name="Alice Archer"))
    make_user("bob@example.com", name="Bob_Baker")
    for words, found in {
        "alice@example.com": ["Alice Archer"],
        "ALICE@": ["Alice Archer"],
        "archer": ["Alice Archer"],
        str(alice.id): ["Alice Archer"],
        str(alice.user_id): ["Alice Archer"],
        str(uuid.uuid4()): [],
        "_": ["Bob_Baker"],
        "%": [],
        "9" * 40: [],
        "charlie@example.com": [],
    }.items():
        page = owner.get("/admin/members/", query_string={"search": words}).text
        assert (words, names(page)) == (words, found)


@pytest.mark.parametrize("state", ["active", "unverified", "shut_out", "closing", "erased"])
def test_the_list_narrows_by_state(owner: FlaskClient, session: Session, state: str) -> None:
    people = {
        name: make_user(f"{name}@example.com", name=name, verified=name != "unverified")
        for name in ("active", "unverified", "shut_out", "closing", "erased")
    }
    people["shut_out"].active = False
    people["closing"].closed_at = clock.now()
    people["erased"].closed_at = people["erased"].erased_at = clock.now()
    session.commit()
    assert names(owner.get(f"/admin/members/?state={state}").text) == [state]


def test_each_member_is_in_one_state_alone(owner: FlaskClient, session: Session) -> None:
    """Whatever has happened to a login, the list finds it under the state it shows, once."""
    happenings = list(itertools.product([True, False], repeat=4))
    for number, (verified, active, closed, erased) in enumerate(happenings):
        user = make_user(f"m{number}@example.com", name=f"M{number}", verified=verified)
        member_of(user)
        user.active = active
        user.closed_at = clock.now() if closed else None
        user.erased_at = clock.now() if erased else None
    session.commit()
    found = []
    for state in STATES:
        page = owner.get(f"/admin/members/?state={state}").text
        found += names(page)
        assert set(re.findall(r'<span class="pill[^>]*>([^<]+)<', page)) == {
            state.replace("_", " ").capitalize()
        }
    assert sorted(found) == sorted(f"M{number}" for number in range(len(happenings)))


def test_a_hundred_thousand_members_turn_page_by_page_by_an_index(
    owner: FlaskClient, session: Session
) -> None:
    ids = [uuid.uuid4() for _ in range(300)]
    users = [{"id": key, "email": f"m{n:04}@example.com"} for n, key in enumerate(ids)]
    session.execute(insert(User), users)
    session.execute(
        insert(Member), [{"user_id": key, "name": f"M{n}"} for n, key in enumerate(ids)]
    )
    session.commit()
    with counting() as few:
        assert len(names(owner.get("/admin/members/?page=2").text)) == 50
    assert len(few) <= DOOR + 6, "\n".join(few.statements)
    assert len(names(owner.get("/admin/members/?sort=1&desc=1").text)) == 50
    listed = next(each for each in few.statements if "OFFSET" in each)
    measure(session)
    session.execute(text("SET LOCAL enable_seqscan = off"))
    values = dict.fromkeys(re.findall(r"%\((\w+)\)s", listed), 50)
    raw = session.connection().exec_driver_sql(f"EXPLAIN {listed}", values)
    plan = "\n".join(row[0] for row in raw)
    assert "pk_member" in plan
    assert "Sort" not in plan


def fill(session: Session, member: Member) -> None:
    """Leave something of everything that the page of a member tells."""
    user = member.user
    for number in range(1001, 1011):
        add_mail(session, buy(member, number), f"mail {number}")
    terms = TermsOfUse(version="2026-11", body="<p>Be kind.</p>", published_at=clock.now())
    session.add_all(
        [
            terms,
            Address(
                member_id=member.id, name="Alice", line1="1 Mill Lane", city="York", country="GB"
            ),
            passkey_of(user.id),
            LinkedIdentity(
                user_id=user.id, provider=IdentityProvider.GOOGLE, subject="subject-at-google"
            ),
        ]
    )
    session.flush()
    for each in session.scalars(select(User)):
        session.add(TermsAgreement(user_id=each.id, terms_id=terms.id))
    add_consent(user.email)
    session.commit()


def test_the_page_of_a_member_tells_all_of_it_and_no_secret(
    app: Flask, enter: Enter, session: Session
) -> None:
    alice = make_user("alice@example.com", name="Alice Archer")
    browser_of(app, alice)
    manager = enter(Role.MANAGER)
    fill(session, member_of(alice))
    session.expire_all()
    with counting() as counted:
        page = manager.get(path_of(member_of(alice))).text
    assert len(counted) <= DOOR + 27, "\n".join(counted.statements)
    for told in (
        "10 orders, $350.00 spent",
        "#1010",
        "1 Mill Lane",
        "Newsletter",
        "2026-11",
        "Google",
        "Session opened",
        "Unknown device",
    ):
        assert told in page, told
    login = session.scalars(select(LoginSession).where(LoginSession.user_id == alice.id)).one()
    for secret in (alice.password_hash or "?", login.secret_hash, "subject-at-google", "public"):
        assert secret not in page


def test_what_an_unproved_address_was_sent_is_not_told(
    owner: FlaskClient, session: Session
) -> None:
    order = make_order(1001, email="alice@example.com")
    add_mail(session, order, "m", subject="For the real Alice only")
    add_consent("alice@example.com")
    stranger = member_of(make_user("alice@example.com", verified=False))
    page = owner.get(path_of(stranger)).text
    assert "For the real Alice only" not in page
    assert "Newsletter" not in page
    assert "Nobody has shown yet" in page


def test_all_sessions_are_ended(app: Flask, owner: FlaskClient, session: Session) -> None:
    alice = make_user()
    browsers = [browser_of(app, alice), browser_of(app, alice)]
    notice = act(owner, "/admin/members/end-sessions/", id=member_of(alice).id)
    assert "logged out everywhere: 2 ended" in notice
    for browser in browsers:
        assert browser.get("/admin/").location.startswith("/login")
    (deed,) = deeds(session, "session.all_ended")
    assert deed.user_id == alice.id
    assert deed.actor_kind == "staff"


def test_one_session_is_ended(app: Flask, owner: FlaskClient, session: Session) -> None:
    alice, bob = make_user(), make_user("bob@example.com")
    browser_of(app, alice)
    browser_of(app, bob)
    hers, his = (
        session.scalars(select(LoginSession).where(LoginSession.user_id == user.id)).one()
        for user in (alice, bob)
    )
    url, member = "/admin/members/end-session/", member_of(alice)
    assert "ended already" in act(owner, url, id=member.id, session=his.id)
    assert "ended already" in act(owner, url, id=member.id, session="nonsense")
    assert "is ended" in act(owner, url, id=member.id, session=hers.id)
    session.expire_all()
    assert (hers.end_reason, his.end_reason) == (SessionEnd.REVOKED, None)


def test_a_member_is_shut_out_and_let_in_again(
    app: Flask, owner: FlaskClient, session: Session
) -> None:
    alice = make_user()
    browser = browser_of(app, alice)
    assert "shut out" in act(owner, "/admin/members/shut-out/", id=member_of(alice).id)
    assert browser.get("/admin/").location.startswith("/login")
    assert "Shut out" in owner.get(path_of(member_of(alice))).text
    assert "may log in" in act(owner, "/admin/members/let-in/", id=member_of(alice).id)
    session.expire_all()
    assert alice.active
    assert [deed.user_id for deed in deeds(session, "user.shut_out")] == [alice.id]
    assert [deed.user_id for deed in deeds(session, "user.let_in")] == [alice.id]


def test_nobody_lets_the_erased_in(owner: FlaskClient, session: Session) -> None:
    alice = make_user()
    alice.active, alice.closed_at, alice.erased_at = False, clock.now(), clock.now()
    session.commit()
    assert "nobody to let in" in act(owner, "/admin/members/let-in/", id=member_of(alice).id)
    session.expire_all()
    assert not alice.active


def test_an_account_is_closed_for_its_owner(enter: Enter, session: Session) -> None:
    alice = make_user()
    path = path_of(member_of(alice))
    assert "Close the account" not in enter(Role.MANAGER).get(path).text
    notice = act(enter(Role.ADMIN), "/admin/members/close/", id=member_of(alice).id)
    assert "erased after" in notice
    session.expire_all()
    assert alice.erase_after is not None
    (deed,) = deeds(session, "account.closed")
    assert (deed.actor_kind, deed.user_id) == ("staff", alice.id)


def test_who_works_here_is_not_closed(owner: FlaskClient, session: Session) -> None:
    boss = make_user("boss@example.com")
    boss.role = Role.VIEWER
    session.commit()
    act(owner, "/admin/members/close/", id=member_of(boss).id)
    session.expire_all()
    assert boss.closed_at is None


def test_a_reset_goes_to_the_very_login(owner: FlaskClient, session: Session) -> None:
    make_user()
    claimant = make_user(verified=False)
    act(owner, "/admin/members/send-reset/", id=member_of(claimant).id)
    job = session.scalars(select(Job).where(Job.path == "jobs.accounts.send_reset")).one()
    assert job.args[0] == str(claimant.id)
    (deed,) = deeds(session, "member.reset_sent")
    assert (deed.subject, deed.user_id) == (f"user:{claimant.id}", claimant.id)


def test_staff_above_are_not_to_be_touched_through_the_room_of_members(
    enter: Enter, session: Session
) -> None:
    manager = enter(Role.MANAGER)
    boss = make_user("boss@example.com")
    boss.role = Role.OWNER
    session.commit()
    member = member_of(boss)
    for name in ("shut-out", "end-sessions", "let-in", "end-session"):
        notice = act(manager, f"/admin/members/{name}/", id=member.id)
        assert "Only an owner" in notice, name
    session.expire_all()
    assert boss.active
    assert deeds(session, "user.shut_out") == []


def test_a_note_is_kept_with_its_author(owner: FlaskClient, session: Session) -> None:
    member = member_of(make_user())
    url = "/admin/members/add-note/"
    assert "is kept" in act(owner, url, id=member.id, text="Prefers <b>blue</b>.\r\nCall after 5.")
    note = session.scalars(select(PersonNote)).one()
    assert note.text == "Prefers <b>blue</b>.\nCall after 5."
    page = owner.get(path_of(member)).text
    assert "Prefers &lt;b&gt;blue&lt;/b&gt;.<br>Call after 5." in page
    assert "owner@example.org" in page
    assert "Write something" in act(owner, url, id=member.id, text="  \0 ")
    assert "at most" in act(owner, url, id=member.id, text="x" * 4001)
    (deed,) = deeds(session, "member.noted")
    assert deed.details == {}


def test_staff_look_and_managers_act(enter: Enter, session: Session) -> None:
    path = path_of(member_of(make_user()))
    staff, manager = enter(Role.STAFF).get(path).text, enter(Role.MANAGER).get(path).text
    assert "Shut out" not in staff
    assert "Add the note" in staff
    assert "Shut out" in manager


@pytest.mark.parametrize("key", ["", "0", "999999", "x", "-1", "9" * 40, "%00"])
def test_a_member_who_is_not_there_is_a_404(owner: FlaskClient, key: str) -> None:
    assert owner.get(f"/admin/members/details/?id={key}").status_code == 404


def test_what_a_member_typed_is_shown_as_text(owner: FlaskClient, session: Session) -> None:
    member = member_of(make_user(name="<script>alert(1)</script>"))
    for path in ("/admin/members/", path_of(member)):
        page = owner.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_money_that_went_back_is_not_counted(owner: FlaskClient, session: Session) -> None:
    alice = member_of(make_user())
    order = buy(alice, refunded=3500)
    session.commit()
    assert session.get_one(OrderPayment, order.payment.id).amount == 3500
    assert "1 order, $0.00 spent" in owner.get(path_of(alice)).text
