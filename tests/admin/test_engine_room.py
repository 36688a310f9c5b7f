"""What failed is a list with a button that mends it: jobs, Stripe's events, mails."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting, make_order
from webapp.accounts.models import Role
from webapp.core import clock
from webapp.core.models import Job, JobAttempt, JobState
from webapp.core.state import current_fork
from webapp.messaging.models import Mail, MailState
from webapp.messaging.services.secrets import REMOVED
from webapp.payments.models import EventState, StripeEvent

Run = Callable[[], int]


def add_job(session: Session, state: JobState = JobState.FAILED, **values: Any) -> Job:
    now = clock.now()
    base: dict[str, Any] = {
        "path": "jobs.orders.fulfil",
        "args": [1],
        "queue": "critical",
        "state": state,
        "attempts": 8,
        "max_attempts": 8,
        "run_at": now,
        "deadline_at": now,
        "finished_at": now,
        "error": "OperationalError: the server closed the connection",
    }
    job = Job(**(base | values))
    session.add(job)
    session.commit()
    return job


def add_event(session: Session, name: str = "evt_1", **values: Any) -> StripeEvent:
    now = clock.now()
    base: dict[str, Any] = {
        "id": name,
        "type": "checkout.session.completed",
        "object_id": "cs_1",
        "livemode": False,
        "created": now,
        "payload": {"data": {"object": {"id": "cs_1", "note": "<b>bold</b>"}}},
        "state": EventState.PARKED,
        "attempts": 10,
        "next_attempt_at": now,
        "error": "StripeUnavailable: no answer",
    }
    event = StripeEvent(**(base | values))
    session.add(event)
    session.commit()
    return event


def add_mail(session: Session, key: str, state: MailState, **values: Any) -> Mail:
    base: dict[str, Any] = {
        "dedupe_key": key,
        "kind": "order_shipped",
        "code": key,
        "recipient": "bob@example.org",
        "sender": "hello@northwind.example",
        "subject": f"Subject of {key}",
        "text": "The text of it",
        "html": "<p>The text of it</p>",
        "state": state,
    }
    mail = Mail(**(base | values))
    session.add(mail)
    session.commit()
    return mail


def test_a_failed_job_shows_its_error_and_runs_again(owner: FlaskClient, session: Session) -> None:
    job = add_job(session)
    job.tries = [
        JobAttempt(
            number=n, worker="web-1:7", started_at=job.run_at, finished_at=job.run_at, error="Boom"
        )
        for n in (1, 2)
    ]
    session.commit()
    page = owner.get(f"/admin/jobs/details/?id={job.id}").text
    assert "the server closed the connection" in page
    assert page.count("Boom") == 2
    notice = act(owner, "/admin/jobs/run-again/", id=job.id)
    assert notice == f"Job {job.id} will run again at once."
    session.expire_all()
    assert (job.state, job.max_attempts) == (JobState.QUEUED, 16)
    assert "Run again" not in owner.get(f"/admin/jobs/details/?id={job.id}").text


def test_ticked_jobs_run_again_and_the_others_say_why_not(
    owner: FlaskClient, session: Session
) -> None:
    failed = [add_job(session) for _ in range(3)]
    done = add_job(session, JobState.DONE)
    ids = [job.id for job in (*failed, done)]
    notice = act(owner, "/admin/jobs/run-again/", id=ids, back="/admin/jobs/?state=failed")
    assert "Run again: 3 done." in notice
    assert f"Job {done.id} is done; only a failed one can run again." in notice
    session.expire_all()
    assert {job.state for job in failed} == {JobState.QUEUED}


def test_an_action_without_a_row_says_so(owner: FlaskClient) -> None:
    assert act(owner, "/admin/jobs/run-again/") == "Tick at least one row first."


def test_an_action_leads_back_into_this_site_only(owner: FlaskClient, session: Session) -> None:
    job = add_job(session)
    values = {"id": job.id, "back": "https://evil.example/"}
    answer = owner.post("/admin/jobs/run-again/", data=values)
    assert answer.location == f"/admin/jobs/details/?id={job.id}"


def test_jobs_are_found_by_state_subject_and_path(owner: FlaskClient, session: Session) -> None:
    order = make_order()
    add_job(session, path="jobs.orders.fulfil", subject=f"order:{order.id}")
    add_job(session, JobState.DONE, path="jobs.messaging.deliver", queue="mail")
    for query, shown, hidden in [
        ("state=failed", "orders.fulfil<", "messaging.deliver<"),
        ("queue=mail", "messaging.deliver<", "orders.fulfil<"),
        (f"search=order:{order.id}", "orders.fulfil<", "messaging.deliver<"),
        ("search=deliver", "messaging.deliver<", "orders.fulfil<"),
    ]:
        page = owner.get(f"/admin/jobs/?{query}").text
        assert (query, shown in page, hidden in page) == (query, True, False)
    page = owner.get("/admin/jobs/").text
    assert f'href="/admin/orders/details/?id={order.id}">Order\N{NO-BREAK SPACE}#1001<' in page


def test_lists_of_the_engine_room_take_few_statements(owner: FlaskClient, session: Session) -> None:
    for n in range(30):
        order = make_order(2000 + n)
        add_job(session, subject=f"order:{order.id}")
        add_mail(session, f"m{n}", MailState.FAILED, subject_ref=f"order:{order.id}")
        add_event(session, f"evt_{n}", subject=f"order:{order.id}")
    for room in ("jobs", "mails", "events"):
        session.expire_all()
        with counting() as counted:
            page = owner.get(f"/admin/{room}/").text
        assert page.count("#20") == 30
        assert len(counted) <= DOOR + 6, "\n".join(counted.statements)


def test_a_parked_event_shows_its_payload_and_is_tried_again(
    owner: FlaskClient, session: Session
) -> None:
    event = add_event(session)
    page = owner.get("/admin/events/details/?id=evt_1").text
    assert "StripeUnavailable: no answer" in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    notice = act(owner, "/admin/events/run-again/", id="evt_1")
    assert notice == "The event checkout.session.completed is tried again at once."
    session.expire_all()
    assert (event.state, event.attempts) == (EventState.PENDING, 0)
    assert "only a parked one" in act(owner, "/admin/events/run-again/", id="evt_1")


def test_the_bell_is_rung_after_the_commit(
    owner: FlaskClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_event(session)
    rung: list[tuple[str, EventState]] = []

    def ring(path: str) -> None:
        assert not session.dirty
        rung.append((path, session.get_one(StripeEvent, "evt_1").state))

    monkeypatch.setattr("admin.payments.ring", ring)
    owner.post("/admin/events/run-again/", data={"id": "evt_1"})
    assert rung == [("jobs.payments.drain_events", EventState.PENDING)]
    assert current_fork()


def test_a_mail_in_doubt_is_sent_again_by_a_person_only(
    owner: FlaskClient, session: Session
) -> None:
    unknown = add_mail(session, "a", MailState.UNKNOWN)
    sent = add_mail(session, "b", MailState.SENT)
    page = owner.get(f"/admin/mails/details/?id={unknown.id}").text
    assert "The text of it" in page
    assert "Send again" in page
    assert "Send again" not in owner.get(f"/admin/mails/details/?id={sent.id}").text
    notice = act(owner, "/admin/mails/send-again/", id=[unknown.id, sent.id])
    assert "The mail to bob@example.org is on its way again." in notice
    assert "can't be sent again" in notice.replace("&#39;", "'")
    session.expire_all()
    assert unknown.state is MailState.PENDING


def test_mails_in_trouble_are_one_filter_away(owner: FlaskClient, session: Session) -> None:
    add_mail(session, "failed-one", MailState.FAILED)
    add_mail(session, "unknown-one", MailState.UNKNOWN)
    add_mail(session, "sent-one", MailState.SENT)
    page = owner.get("/admin/mails/?state=stuck").text
    assert "Subject of failed-one" in page
    assert "Subject of unknown-one" in page
    assert "Subject of sent-one" not in page


def test_the_menu_and_the_start_page_count_what_waits(owner: FlaskClient, session: Session) -> None:
    for n in range(3):
        add_job(session)
        add_mail(session, f"m{n}", MailState.FAILED)
    add_event(session)
    page = owner.get("/admin/").text
    assert page.count('<span class="count">3</span>') == 2
    assert page.count('<span class="count">1</span>') == 1
    assert '<span class="hint">Failed jobs</span><span class="value">3</span>' in page
    assert '<span class="hint">Parked events</span><span class="value">1</span>' in page


def test_a_key_in_a_mail_is_nobodys_to_read(owner: FlaskClient, session: Session) -> None:
    mail = add_mail(session, "m", MailState.FAILED, secret=True, text="https://shop/reset/KEY")
    page = owner.get(f"/admin/mails/details/?id={mail.id}").text
    assert "KEY" not in page
    assert "nobody here can read it" in page
    assert "Send again" in page


def test_a_mail_without_its_words_is_not_sent_again(owner: FlaskClient, session: Session) -> None:
    mail = add_mail(session, "m", MailState.FAILED, secret=True, text=REMOVED)
    assert "Send again" not in owner.get(f"/admin/mails/details/?id={mail.id}").text
    assert act(owner, "/admin/mails/send-again/", id=mail.id)
    session.expire_all()
    assert mail.state is MailState.FAILED


def test_a_viewer_sees_mails_about_orders_only(enter: Enter, session: Session) -> None:
    order = add_mail(session, "order", MailState.SENT, subject_ref="order:1")
    other = add_mail(session, "other", MailState.SENT, subject_ref="contact:1")
    viewer, staff = enter(Role.VIEWER), enter(Role.STAFF)
    assert "Subject of other" not in viewer.get("/admin/mails/").text
    assert "Subject of other" in staff.get("/admin/mails/").text
    for mail, status in ((order, 200), (other, 404)):
        assert viewer.get(f"/admin/mails/details/?id={mail.id}").status_code == status
        assert staff.get(f"/admin/mails/details/?id={mail.id}").status_code == 200


def test_what_stripe_sent_is_for_those_who_may_know_people(enter: Enter, session: Session) -> None:
    add_event(session, type="invoice.paid")
    viewer, staff = enter(Role.VIEWER), enter(Role.STAFF)
    page = viewer.get("/admin/events/details/?id=evt_1")
    assert (page.status_code, "&lt;b&gt;bold" in page.text) == (200, False)
    assert viewer.get("/admin/billing-events/details/?id=evt_1").status_code == 403
    for room in ("events", "billing-events"):
        assert "&lt;b&gt;bold" in staff.get(f"/admin/{room}/details/?id=evt_1").text


def test_what_a_job_was_given_is_for_those_who_run_it(enter: Enter, session: Session) -> None:
    job = add_job(session, args=["a-nonce-of-a-link"])
    path = f"/admin/jobs/details/?id={job.id}"
    assert "a-nonce-of-a-link" not in enter(Role.VIEWER).get(path).text
    assert "a-nonce-of-a-link" in enter(Role.MANAGER).get(path).text
