"""Who works here, in which role, and who may change that."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting, said
from tests.admin.test_catalog import save
from tests.factories.people import browser_of, make_user, passkey_of
from webapp.accounts.models import LoginSession, Role, SessionEnd, User
from webapp.accounts.permissions import MEANINGS, PERMISSIONS, Permission
from webapp.accounts.queries import find_member, find_verified_user
from webapp.accounts.services import staff
from webapp.accounts.services.sessions import PROOF_LASTS
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.models import AuditEntry, Job
from webapp.messaging.models import Mail

HIGH = [Role.OWNER, Role.ADMIN]
LOW = [Role.MANAGER, Role.STAFF, Role.VIEWER]


def role_of(session: Session, user: User) -> Role | None:
    session.expire_all()
    return user.role


def deeds(session: Session, action: str) -> list[AuditEntry]:
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


def test_the_list_tells_roles_factors_and_sessions(owner: FlaskClient, session: Session) -> None:
    alice = make_user("alice@example.com", role=Role.VIEWER)
    make_user("bob@example.com", role=Role.ADMIN)
    make_user("charlie@example.com")
    session.add(passkey_of(alice.id))
    session.commit()
    with counting() as counted:
        page = owner.get("/admin/staff/").text
    assert len(counted) <= DOOR + 5, "\n".join(counted.statements)
    listed = re.findall(r'<th scope="row"><a href="/admin/staff[^>]*>([^<]+)<', page)
    assert listed == ["owner@example.org", "bob@example.com", "alice@example.com"]
    factors = re.findall(r"<td>(Yes|No)</td>", page)
    assert factors == ["No", "No", "Yes"]
    assert "charlie@example.com" not in page


def test_the_matrix_is_what_the_permissions_say(owner: FlaskClient) -> None:
    page = owner.get("/admin/staff/roles/").text
    rows = page.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
    assert len(rows) == len(Permission)
    ladder = [Role.OWNER, Role.ADMIN, Role.MANAGER, Role.STAFF, Role.VIEWER]
    for row, permission in zip(rows, MEANINGS, strict=True):
        shown = ['aria-label="Yes"' in cell for cell in re.findall(r"<td>(.*?)</td>", row)]
        assert shown == [permission in PERMISSIONS[role] for role in ladder]


def test_every_permission_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Permission)


def test_somebody_new_is_invited(owner: FlaskClient, session: Session) -> None:
    page = save(owner, "/admin/staff/new/", email="Alice@Example.com", role="manager")
    assert "alice@example.com is added." in said(page)
    alice = find_verified_user("alice@example.com")
    assert alice
    assert (alice.role, alice.password_hash) == (Role.MANAGER, None)
    job = session.scalars(select(Job).where(Job.path == "jobs.accounts.send_reset")).one()
    assert job.args[0] == str(alice.id)
    mail = session.scalars(select(Mail).where(Mail.kind == "staff_invitation")).one()
    assert mail.recipient == "alice@example.com"
    assert "as manager" in mail.text
    assert "/password/forgot" in mail.text
    (deed,) = deeds(session, "staff.added")
    assert (deed.user_id, deed.details) == (alice.id, {"role": "manager"})


def test_who_has_an_account_keeps_it_and_logs_in_again(
    app: Flask, owner: FlaskClient, session: Session
) -> None:
    alice = make_user()
    browser = browser_of(app, alice)
    save(owner, "/admin/staff/new/", email="alice@example.com", role="staff")
    assert role_of(session, alice) is Role.STAFF
    assert find_member(alice.id)
    assert browser.get("/admin/").location.startswith("/login")
    assert browser_of(app, alice).get("/admin/").status_code == 200


def test_an_address_that_somebody_only_claims_is_not_raised(
    owner: FlaskClient, session: Session
) -> None:
    claimant = make_user(verified=False)
    save(owner, "/admin/staff/new/", email="alice@example.com", role="owner")
    assert role_of(session, claimant) is None
    invited = find_verified_user("alice@example.com")
    assert invited
    assert invited.id != claimant.id


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ({"email": "nobody"}, "is not an email address"),
        ({"email": ""}, "Type the address"),
        ({"email": "owner@example.org"}, "works here already"),
        ({"role": "king"}, "Not a valid choice"),
        ({"email": "shut@example.com"}, "shut out or closed"),
    ],
)
def test_an_invitation_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, typed: dict[str, str], why: str
) -> None:
    make_user("shut@example.com").active = False
    session.commit()
    values = {"email": "alice@example.com", "role": "staff"} | typed
    answer = owner.post("/admin/staff/new/", data=values)
    assert (answer.status_code, why in answer.text) == (422, True)
    assert session.scalars(select(Mail)).all() == []
    assert deeds(session, "staff.added") == []


@pytest.mark.parametrize("role", list(Role))
def test_admins_give_what_is_below_them(enter: Enter, session: Session, role: Role) -> None:
    admin = enter(Role.ADMIN)
    answer = admin.post("/admin/staff/new/", data={"email": "bob@example.com", "role": role.value})
    assert answer.status_code == (303 if role in LOW else 422)
    made = find_verified_user("bob@example.com")
    assert (made.role if made else None) == (role if role in LOW else None)


@pytest.mark.parametrize("before", list(Role))
@pytest.mark.parametrize("after", list(Role))
def test_only_owners_make_and_unmake_owners_and_admins(
    enter: Enter, session: Session, before: Role, after: Role
) -> None:
    bob = make_user("bob@example.com", role=before)
    allowed = before in LOW and after in LOW
    act(enter(Role.ADMIN), "/admin/staff/change-role/", id=bob.id, role=after.value)
    assert role_of(session, bob) is (after if allowed else before)
    act(enter(Role.OWNER), "/admin/staff/change-role/", id=bob.id, role=after.value)
    assert role_of(session, bob) is after


def test_a_new_role_ends_the_sessions_of_the_old(
    app: Flask, owner: FlaskClient, session: Session
) -> None:
    bob = make_user("bob@example.com", role=Role.STAFF)
    browser = browser_of(app, bob)
    notice = act(owner, "/admin/staff/change-role/", id=bob.id, role="manager")
    assert "is manager now" in notice
    assert browser.get("/admin/").location.startswith("/login")
    login = session.scalars(select(LoginSession).where(LoginSession.user_id == bob.id)).one()
    assert login.end_reason is SessionEnd.ROLE_CHANGED
    (deed,) = deeds(session, "staff.role_changed")
    assert deed.details == {"before": "staff", "role": "manager"}
    assert deed.user_id == bob.id


def test_nobody_changes_their_own_role(enter: Enter, session: Session) -> None:
    make_user("second@example.com", role=Role.OWNER)
    for role in HIGH:
        browser = enter(role)
        me = find_verified_user(f"{role.value}@example.org")
        assert me
        assert "own role" in act(browser, "/admin/staff/change-role/", id=me.id, role="owner")
        assert "own role" in act(browser, "/admin/staff/dismiss/", id=me.id)
        assert "That is you" in act(browser, "/admin/staff/shut-out/", id=me.id)
        assert role_of(session, me) is role


def test_the_last_owner_stays(enter: Enter, owner: FlaskClient, session: Session) -> None:
    other = make_user("second@example.com", role=Role.OWNER)
    other.active = False
    session.commit()
    me = find_verified_user("owner@example.org")
    assert me
    # The other owner is shut out, so the one who is logged in is the last.
    wishes: list[Callable[[], None]] = [
        lambda: staff.change_role(me, Role.ADMIN, OPERATOR),
        lambda: staff.dismiss(me, OPERATOR),
        lambda: staff.shut_out(me, OPERATOR),
    ]
    for wish in wishes:
        with pytest.raises(staff.LastOwner):
            wish()
    assert role_of(session, me) is Role.OWNER
    act(owner, "/admin/staff/let-in/", id=other.id)
    staff.dismiss(me, OPERATOR)
    assert me.role is None


def test_a_role_is_taken_away_and_an_account_is_left(
    app: Flask, owner: FlaskClient, session: Session
) -> None:
    bob = make_user("bob@example.com", role=Role.ADMIN)
    browser = browser_of(app, bob)
    answer = owner.post("/admin/staff/dismiss/", data={"id": bob.id})
    assert answer.location == "/admin/staff/"
    assert role_of(session, bob) is None
    assert find_member(bob.id)
    assert browser.get("/admin/").location.startswith("/login")
    assert browser_of(app, bob).get("/admin/").status_code == 403
    (deed,) = deeds(session, "staff.removed")
    assert deed.details == {"before": "admin"}


def test_what_was_opened_before_does_not_count(enter: Enter, session: Session) -> None:
    """An admin who was made a viewer a moment ago acts as a viewer, whatever the page shows."""
    admin = enter(Role.ADMIN)
    bob = make_user("bob@example.com", role=Role.STAFF)
    me = find_verified_user("admin@example.org")
    assert me
    me.role = Role.VIEWER
    session.commit()
    answer = admin.post("/admin/staff/change-role/", data={"id": bob.id, "role": "manager"})
    assert answer.status_code == 403
    assert role_of(session, bob) is Role.STAFF


def test_a_grave_step_asks_for_a_credential_again(owner: FlaskClient, session: Session) -> None:
    bob = make_user("bob@example.com", role=Role.STAFF)
    login = session.scalars(select(LoginSession)).one()
    login.proven_at = clock.now() - PROOF_LASTS
    session.commit()
    for name in ("change-role", "dismiss", "shut-out"):
        answer = owner.post(f"/admin/staff/{name}/", data={"id": bob.id, "role": "owner"})
        assert answer.location.startswith("/account/prove?next=/admin/staff/details/"), name
    assert role_of(session, bob) is Role.STAFF
    # Also a new one may be given much.
    answer = owner.post("/admin/staff/new/", data={"email": "eve@example.com", "role": "owner"})
    assert answer.location.startswith("/account/prove?next=/admin/staff/new/")
    assert find_verified_user("eve@example.com") is None


def test_managers_look_and_do_not_touch(enter: Enter, session: Session) -> None:
    bob = make_user("bob@example.com", role=Role.STAFF)
    page = enter(Role.MANAGER).get(f"/admin/staff/details/?id={bob.id}").text
    assert "Change the role" not in page
    assert "Take the role away" not in page
    page = enter(Role.OWNER).get(f"/admin/staff/details/?id={bob.id}").text
    assert "Change the role" in page


@pytest.mark.parametrize("key", ["", "x", "1", "00000000-0000-0000-0000-000000000000", "%00"])
def test_somebody_who_is_not_there_is_a_404(owner: FlaskClient, key: str) -> None:
    assert owner.get(f"/admin/staff/details/?id={key}").status_code == 404


def test_a_customer_is_not_found_among_staff(owner: FlaskClient, session: Session) -> None:
    alice = make_user()
    assert owner.get(f"/admin/staff/details/?id={alice.id}").status_code == 404
    owner.post("/admin/staff/change-role/", data={"id": alice.id, "role": "owner"})
    assert role_of(session, alice) is None
