"""Every room for every role: what is open, what is refused, also to a POST without its button."""

import re
from itertools import pairwise

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from admin.base import Guarded
from tests.admin.conftest import Enter, make_order
from webapp.accounts.models import Role
from webapp.accounts.permissions import PERMISSIONS, Permission, allows
from webapp.core.models import Job, JobState
from webapp.core.queue import enqueue
from webapp.orders.models import OrderState

EVERYBODY = list(Role)
FROM_STAFF = [Role.OWNER, Role.ADMIN, Role.MANAGER, Role.STAFF]
FROM_MANAGER = [Role.OWNER, Role.ADMIN, Role.MANAGER]
FROM_ADMIN = [Role.OWNER, Role.ADMIN]

# Path of a page -> who may see it.
PAGES = {
    "/admin/": EVERYBODY,
    "/admin/orders/": EVERYBODY,
    "/admin/discounts/": EVERYBODY,
    "/admin/products/": EVERYBODY,
    "/admin/members/": FROM_STAFF,
    "/admin/prospects/": FROM_STAFF,
    "/admin/contact/": FROM_STAFF,
    "/admin/results/": EVERYBODY,
    "/admin/results/compare/": EVERYBODY,
    "/admin/audiences/": EVERYBODY,
    "/admin/recipients/": FROM_STAFF,
    "/admin/recipients/why/": FROM_STAFF,
    "/admin/imports/": FROM_MANAGER,
    "/admin/suppressions/": FROM_STAFF,
    "/admin/suppressions/export.csv": FROM_STAFF,
    "/admin/suppressions/import/": FROM_MANAGER,
    "/admin/bounces/": FROM_STAFF,
    "/admin/reports/": FROM_STAFF,
    "/admin/senders/": EVERYBODY,
    "/admin/emails/": EVERYBODY,
    "/admin/sequences/": EVERYBODY,
    "/admin/email-settings/": EVERYBODY,
    "/admin/visits/": EVERYBODY,
    "/admin/ads/": EVERYBODY,
    "/admin/subscriptions/": FROM_STAFF,
    "/admin/invoices/": FROM_STAFF,
    "/admin/cases/": FROM_STAFF,
    "/admin/plans/": EVERYBODY,
    "/admin/dunning-policy/": EVERYBODY,
    "/admin/numbers/": EVERYBODY,
    "/admin/numbers/rows/": EVERYBODY,
    "/admin/numbers/rows.csv": EVERYBODY,
    "/admin/numbers/figures.json": EVERYBODY,
    "/admin/billing-events/": FROM_STAFF,
    "/admin/differences/": EVERYBODY,
    "/admin/billing-settings/": EVERYBODY,
    "/admin/jobs/": EVERYBODY,
    "/admin/events/": EVERYBODY,
    "/admin/mails/": EVERYBODY,
    "/admin/audit/": FROM_ADMIN,
    "/admin/audit/export.csv": FROM_ADMIN,
    "/admin/shop/": EVERYBODY,
    "/admin/shipping/": EVERYBODY,
    "/admin/tax/": EVERYBODY,
    "/admin/terms/": EVERYBODY,
    "/admin/staff/": FROM_MANAGER,
    "/admin/staff/roles/": FROM_MANAGER,
}
ROOMS = sorted({path.split("/")[2] for path in PAGES if path != "/admin/"})

# Path of a POST -> who may send it. The ids name nothing: whoever may gets a 404 or a sentence.
POSTS = {
    "/admin/orders/ship/": FROM_STAFF,
    "/admin/orders/deliver/": FROM_STAFF,
    "/admin/orders/confirm-again/": FROM_STAFF,
    "/admin/orders/refund/": FROM_MANAGER,
    "/admin/orders/cancel/": FROM_MANAGER,
    "/admin/orders/accept/": FROM_MANAGER,
    "/admin/products/new/": FROM_MANAGER,
    "/admin/products/edit/?id=1": FROM_MANAGER,
    "/admin/products/variant/?id=1": FROM_MANAGER,
    "/admin/products/add-variant/?id=1": FROM_MANAGER,
    "/admin/products/publish/": FROM_MANAGER,
    "/admin/products/withdraw/": FROM_MANAGER,
    "/admin/products/retire/": FROM_MANAGER,
    "/admin/discounts/new/": FROM_MANAGER,
    "/admin/discounts/edit/?id=1": FROM_MANAGER,
    "/admin/discounts/switch-off/": FROM_MANAGER,
    "/admin/members/add-note/": FROM_STAFF,
    "/admin/members/close/": FROM_ADMIN,
    "/admin/members/end-session/": FROM_MANAGER,
    "/admin/members/end-sessions/": FROM_MANAGER,
    "/admin/members/let-in/": FROM_MANAGER,
    "/admin/members/send-reset/": FROM_MANAGER,
    "/admin/members/shut-out/": FROM_MANAGER,
    "/admin/prospects/add-note/": FROM_STAFF,
    "/admin/contact/answered/": FROM_STAFF,
    "/admin/contact/release/": FROM_STAFF,
    "/admin/contact/reply/": FROM_STAFF,
    "/admin/contact/spam/": FROM_STAFF,
    "/admin/emails/new/": FROM_MANAGER,
    "/admin/emails/edit/?id=1": FROM_MANAGER,
    "/admin/emails/preview/?id=1": FROM_MANAGER,
    "/admin/emails/live/?id=1": FROM_MANAGER,
    "/admin/emails/copy/": FROM_MANAGER,
    "/admin/emails/resend/": FROM_MANAGER,
    "/admin/emails/test/": FROM_MANAGER,
    "/admin/emails/check-links/": FROM_MANAGER,
    "/admin/emails/discard/": FROM_MANAGER,
    "/admin/emails/make-ready/": FROM_MANAGER,
    "/admin/emails/approve/": FROM_MANAGER,
    "/admin/emails/back-to-draft/": FROM_MANAGER,
    "/admin/emails/schedule/": FROM_MANAGER,
    "/admin/emails/start/": FROM_MANAGER,
    "/admin/emails/pause/": FROM_MANAGER,
    "/admin/emails/resume/": FROM_MANAGER,
    "/admin/emails/cancel/": FROM_MANAGER,
    "/admin/sequences/new/": FROM_MANAGER,
    "/admin/sequences/edit/?id=1": FROM_MANAGER,
    "/admin/sequences/activate/": FROM_MANAGER,
    "/admin/sequences/deactivate/": FROM_MANAGER,
    "/admin/sequences/discard/": FROM_MANAGER,
    "/admin/sequences/add-step/": FROM_MANAGER,
    "/admin/sequences/set-wait/": FROM_MANAGER,
    "/admin/sequences/remove-step/": FROM_MANAGER,
    "/admin/sequences/move-up/": FROM_MANAGER,
    "/admin/sequences/rewrite-step/": FROM_MANAGER,
    "/admin/email-settings/": FROM_ADMIN,
    "/admin/ads/new/": FROM_MANAGER,
    "/admin/ads/edit/?id=1": FROM_MANAGER,
    "/admin/audiences/new/": FROM_MANAGER,
    "/admin/audiences/edit/?id=1": FROM_MANAGER,
    "/admin/audiences/shape/": FROM_MANAGER,
    "/admin/audiences/count/": FROM_MANAGER,
    "/admin/audiences/remove/": FROM_MANAGER,
    "/admin/recipients/send-once-more/": FROM_MANAGER,
    "/admin/recipients/tags/": FROM_MANAGER,
    "/admin/imports/": FROM_MANAGER,
    "/admin/suppressions/new/": FROM_MANAGER,
    "/admin/suppressions/remove/": FROM_MANAGER,
    "/admin/suppressions/import/": FROM_MANAGER,
    "/admin/reports/read-again/": FROM_MANAGER,
    "/admin/reports/set-aside/": FROM_MANAGER,
    "/admin/senders/new/": FROM_ADMIN,
    "/admin/senders/edit/?id=1": FROM_ADMIN,
    "/admin/senders/make-default/": FROM_ADMIN,
    "/admin/senders/domain-limit/": FROM_ADMIN,
    "/admin/subscriptions/cancel/?id=1": FROM_MANAGER,
    "/admin/subscriptions/change/?id=1": FROM_MANAGER,
    "/admin/subscriptions/discount/?id=1": FROM_MANAGER,
    "/admin/subscriptions/fetch/": FROM_MANAGER,
    "/admin/subscriptions/pause/?id=1": FROM_MANAGER,
    "/admin/subscriptions/resume/": FROM_MANAGER,
    "/admin/subscriptions/unpause/": FROM_MANAGER,
    "/admin/invoices/fetch/": FROM_MANAGER,
    "/admin/invoices/refund/?id=1": FROM_MANAGER,
    "/admin/invoices/retry/?id=1": FROM_MANAGER,
    "/admin/invoices/void/?id=1": FROM_MANAGER,
    "/admin/invoices/write-off/?id=1": FROM_MANAGER,
    "/admin/cases/exclude/?id=1": FROM_MANAGER,
    "/admin/cases/include/": FROM_MANAGER,
    "/admin/cases/pause/?id=1": FROM_MANAGER,
    "/admin/cases/try-now/?id=1": FROM_MANAGER,
    "/admin/cases/unpause/": FROM_MANAGER,
    "/admin/cases/write-off/?id=1": FROM_MANAGER,
    "/admin/plans/new/": FROM_MANAGER,
    "/admin/plans/edit/?id=1": FROM_MANAGER,
    "/admin/plans/mend-stripe/": FROM_MANAGER,
    "/admin/plans/publish/": FROM_MANAGER,
    "/admin/plans/retire/": FROM_MANAGER,
    "/admin/plans/set-price/": FROM_MANAGER,
    "/admin/plans/take-stripes/": FROM_MANAGER,
    "/admin/plans/withdraw-price/": FROM_MANAGER,
    "/admin/dunning-policy/new/": FROM_MANAGER,
    "/admin/billing-events/run-again/": FROM_MANAGER,
    "/admin/differences/repair/": FROM_MANAGER,
    "/admin/billing-settings/": FROM_ADMIN,
    "/admin/jobs/run-again/": FROM_MANAGER,
    "/admin/events/run-again/": FROM_MANAGER,
    "/admin/mails/send-again/": FROM_STAFF,
    "/admin/shop/": FROM_ADMIN,
    "/admin/shipping/new/": FROM_ADMIN,
    "/admin/shipping/edit/?id=1": FROM_ADMIN,
    "/admin/shipping/remove/": FROM_ADMIN,
    "/admin/tax/new/": FROM_ADMIN,
    "/admin/tax/edit/?id=1": FROM_ADMIN,
    "/admin/tax/remove/": FROM_ADMIN,
    "/admin/terms/new/": FROM_ADMIN,
    "/admin/terms/edit/?id=1": FROM_ADMIN,
    "/admin/terms/publish/": FROM_ADMIN,
    "/admin/terms/discard/": FROM_ADMIN,
    "/admin/staff/new/": FROM_ADMIN,
    "/admin/staff/change-role/": FROM_ADMIN,
    "/admin/staff/dismiss/": FROM_ADMIN,
    "/admin/staff/end-sessions/": FROM_ADMIN,
    "/admin/staff/let-in/": FROM_ADMIN,
    "/admin/staff/send-reset/": FROM_ADMIN,
    "/admin/staff/shut-out/": FROM_ADMIN,
}
# Flask-Admin's own ways to change rows, which we don't use, are nobody's.
NOBODYS = ("edit", "new", "delete", "action", "ajax/update")


def admin_rules(app: Flask, method: str) -> set[str]:
    return {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin") and method in (rule.methods or ())
    }


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_the_login_and_back(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{path}?search=a b")
    assert answer.status_code == 303
    assert answer.location.startswith("/login?next=")
    assert client.get(answer.location).status_code == 200


def test_a_stranger_changes_nothing(client: FlaskClient, session: Session) -> None:
    for path in POSTS:
        answer = client.post(path, data={"id": "1"})
        assert (path, answer.status_code) == (path, 303)
        assert answer.location.startswith("/login")


@pytest.mark.parametrize("path", PAGES)
def test_a_customer_has_no_business_here(enter: Enter, path: str) -> None:
    customer = enter(None)
    assert customer.get(path).status_code == 403
    assert customer.post("/admin/jobs/run-again/", data={"id": "1"}).status_code == 403


@pytest.mark.parametrize("role", EVERYBODY)
def test_each_page_is_for_those_who_need_it(enter: Enter, role: Role) -> None:
    browser = enter(role)
    for path, allowed in PAGES.items():
        status = browser.get(path).status_code
        assert (path, role, status) == (path, role, 200 if role in allowed else 403)


@pytest.mark.parametrize("role", EVERYBODY)
def test_the_menu_leads_where_the_role_may_go(enter: Enter, role: Role) -> None:
    menu = enter(role).get("/admin/").text.split("<main")[0]
    for path, allowed in PAGES.items():
        if path.count("/") == 3 and path.endswith("/"):
            assert (path, role, f'href="{path}"' in menu) == (path, role, role in allowed)


def test_every_page_of_the_back_office_is_in_this_file(app: Flask) -> None:
    parts = {"details", "new", "edit", "export/<export_type>", "ajax/lookup", "variant"}
    parts |= {"progress", "people", "map", "preview", "simulate"}
    known = {path.partition("?")[0] for path in [*PAGES, *POSTS]}
    known |= {f"/admin/{room}/{part}/" for room in ROOMS for part in parts}
    known |= {rule for rule in admin_rules(app, "GET") if "/static/" in rule}
    there = admin_rules(app, "GET")
    assert set(PAGES) <= there
    assert there <= known


@pytest.mark.parametrize("role", EVERYBODY)
def test_each_change_is_checked_on_the_server(enter: Enter, role: Role) -> None:
    browser = enter(role)
    for path, allowed in POSTS.items():
        refused = browser.post(path, data={"id": "999999"}).status_code == 403
        assert (path, role, refused) == (path, role, role not in allowed)


def test_every_post_of_the_back_office_is_in_this_file(app: Flask) -> None:
    listed = {path.partition("?")[0] for path in POSTS}
    unused = {f"/admin/{room}/{way}/" for room in ROOMS for way in NOBODYS}
    assert admin_rules(app, "POST") - unused <= listed
    assert listed <= admin_rules(app, "POST")


def test_flask_admins_own_doors_are_shut_to_everybody(app: Flask, owner: FlaskClient) -> None:
    listed = {path.partition("?")[0] for path in POSTS}
    own = admin_rules(app, "POST") - listed
    assert len(own) > 10
    for path in own:
        assert (path, owner.post(path, data={"id": "1"}).status_code) == (path, 404)
    for room in set(ROOMS) - {"shop", "visits", "email-settings", "billing-settings"}:
        assert owner.get(f"/admin/{room}/ajax/lookup/?name=x").status_code == 404
        assert owner.get(f"/admin/{room}/export/csv/").status_code == 404
    assert owner.get("/admin/static/vendor/jquery.min.js").status_code == 404


def test_a_method_without_a_permission_is_nobodys(app: Flask) -> None:
    class Forgetful(Guarded):
        def open(self) -> str:
            return ""

    with app.test_request_context():
        assert Forgetful.permission_for(object.__new__(Forgetful), "open") is None


def test_buttons_are_shown_to_those_who_may_press_them(enter: Enter, session: Session) -> None:
    order = make_order()
    path = f"/admin/orders/details/?id={order.id}"
    by_role = {role: enter(role).get(path).text for role in (Role.VIEWER, Role.STAFF, Role.MANAGER)}
    assert "Ship and tell the customer" not in by_role[Role.VIEWER]
    assert "Ship and tell the customer" in by_role[Role.STAFF]
    assert "Give the money back" not in by_role[Role.STAFF]
    assert "Give the money back" in by_role[Role.MANAGER]


def test_a_viewer_sees_settings_and_no_button(enter: Enter) -> None:
    page = enter(Role.VIEWER).get("/admin/shop/").text
    assert "Your role may look at these" in page
    assert ">Save<" not in page


def test_a_change_without_a_token_is_refused(app: Flask, owner: FlaskClient) -> None:
    job_id = enqueue("jobs.orders.fulfil", 1)
    app.config["WTF_CSRF_ENABLED"] = True
    for path in POSTS:
        assert (path, owner.post(path, data={"id": str(job_id)}).status_code) == (path, 400)


def test_a_change_with_the_pages_own_token_is_taken(
    app: Flask, owner: FlaskClient, session: Session
) -> None:
    session.add(_failed_job())
    session.commit()
    app.config["WTF_CSRF_ENABLED"] = True
    page = owner.get("/admin/jobs/?state=failed").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.split("data-tick-all")[1])
    key = re.search(r'name="id" value="(\d+)"', page)
    assert token
    assert key
    answer = owner.post(
        "/admin/jobs/run-again/", data={"csrf_token": token.group(1), "id": key.group(1)}
    )
    assert answer.status_code == 303
    job = session.get_one(Job, int(key.group(1)), populate_existing=True)
    assert job.state is JobState.QUEUED


def _failed_job() -> Job:
    from webapp.core import clock

    now = clock.now()
    return Job(
        path="jobs.orders.fulfil",
        args=[1],
        queue="critical",
        state=JobState.FAILED,
        attempts=8,
        max_attempts=8,
        run_at=now,
        deadline_at=now,
        finished_at=now,
        error="OperationalError: gone",
    )


def test_roles_are_a_ladder() -> None:
    ladder = [Role.VIEWER, Role.STAFF, Role.MANAGER, Role.ADMIN, Role.OWNER]
    for lower, higher in pairwise(ladder):
        assert PERMISSIONS[lower] <= PERMISSIONS[higher]
    assert PERMISSIONS[Role.OWNER] == frozenset(Permission)
    assert not any(allows(None, permission) for permission in Permission)


def test_what_is_open_follows_the_role_at_once(
    enter: Enter, session: Session, client: FlaskClient
) -> None:
    from webapp.accounts.queries import find_verified_user

    browser = enter(Role.MANAGER)
    order = make_order(status=OrderState.IN_FULFILMENT)
    user = find_verified_user("manager@example.org")
    assert user
    user.role = Role.VIEWER
    session.commit()
    answer = browser.post("/admin/orders/cancel/", data={"id": order.id})
    assert answer.status_code == 403
