"""The room of emails: ready, approved, scheduled, sent by buttons, and watched on its way."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.campaigns import ALICE, BOB, done_to, page_of, ready, state_of
from tests.admin.conftest import DOOR, Enter, act, counting, said
from tests.factories.emails import make_draft, make_frozen, recipient_of
from tests.factories.people import browser_of, make_user
from webapp.accounts.models import Role
from webapp.campaigns.models import (
    CampaignSettings,
    Email,
    EmailState,
    RecipientState,
    SendLease,
)
from webapp.core import clock


def test_what_is_not_in_order_is_not_made_ready(owner: FlaskClient, session: Session) -> None:
    email = make_draft(subject=" ", body="Hello")
    email.name = "No subject"
    session.commit()
    assert "subject" in act(owner, "/admin/emails/make-ready/", id=email.id)
    assert state_of(session, email) is EmailState.DRAFT


def test_a_mail_goes_its_way_by_the_buttons(owner: FlaskClient, session: Session) -> None:
    email = ready(owner, ALICE, BOB)
    assert "Send to 2 people" in owner.get(page_of(email)).text
    told = act(owner, "/admin/emails/schedule/", id=email.id, at="2999-01-02T03:04")
    assert "goes out on Jan 2, 03:04 UTC" in told
    assert state_of(session, email) is EmailState.SCHEDULED
    steps = [
        ("start", EmailState.SENDING),
        ("pause", EmailState.PAUSED),
        ("resume", EmailState.SENDING),
        ("cancel", EmailState.CANCELLED),
    ]
    for verb, state in steps:
        offered = owner.get(page_of(email)).text
        assert f"/admin/emails/{verb}/" in offered, verb
        act(owner, f"/admin/emails/{verb}/", id=email.id)
        assert state_of(session, email) is state
        # The second press finds nothing to do, and says so.
        told = act(owner, f"/admin/emails/{verb}/", id=email.id)
        assert told.startswith("This email is"), verb
        assert state_of(session, email) is state
    assert done_to(session, email) == [
        "email.made_ready",
        "email.scheduled",
        "email.started",
        "email.paused",
        "email.resumed",
        "email.cancelled",
    ]


def test_a_mail_goes_back_to_draft(owner: FlaskClient, session: Session) -> None:
    email = ready(owner)
    assert "is a draft again" in act(owner, "/admin/emails/back-to-draft/", id=email.id)
    assert 'id="editor"' in owner.get(page_of(email)).text


def test_a_mail_to_nobody_is_not_offered_to_be_sent(owner: FlaskClient, session: Session) -> None:
    email = make_frozen([], state=EmailState.READY)
    page = owner.get(page_of(email)).text
    assert "Nobody would get it" in page
    assert "/admin/emails/start/" not in page
    assert "/admin/emails/schedule/" not in page
    assert "/admin/emails/back-to-draft/" in page


def test_a_mail_that_did_not_go_at_its_time_says_so(owner: FlaskClient, session: Session) -> None:
    email = make_frozen([ALICE], state=EmailState.READY)
    email.state, email.scheduled_at = EmailState.SCHEDULED, clock.now() - timedelta(hours=1)
    session.commit()
    page = owner.get(page_of(email)).text
    assert "something keeps it back" in page
    assert f'href="/admin/recipients/?email={email.id}">See who that is' in page
    email.scheduled_at = datetime(2050, 1, 2, 3, 4, tzinfo=UTC)
    session.commit()
    assert 'value="2050-01-02T03:04"' in owner.get(page_of(email)).text


def test_a_second_sending_is_offered_where_somebody_may_not_have_opened(
    owner: FlaskClient, session: Session
) -> None:
    email, now = make_frozen([ALICE], state=EmailState.SENT), clock.now()
    offer = "/admin/emails/resend/"
    assert offer not in owner.get(page_of(email)).text
    session.add(SendLease(email_id=email.id, size=1, sent=1, expires_at=now, ended_at=now))
    session.commit()
    assert offer in owner.get(page_of(email)).text
    email.track_opens = email.track_clicks = False
    session.commit()
    assert offer not in owner.get(page_of(email)).text


def test_a_time_is_of_the_shops_clock(owner: FlaskClient, session: Session) -> None:
    session.add(CampaignSettings(id=1, time_zone="America/New_York"))
    session.commit()
    email = ready(owner)
    summer = (clock.now() + timedelta(days=800)).year
    told = act(owner, "/admin/emails/schedule/", id=email.id, at=f"{summer}-07-01T09:00")
    assert "09:00 America/New_York" in told
    session.expire_all()
    assert session.get_one(Email, email.id).scheduled_at == datetime(summer, 7, 1, 13, tzinfo=UTC)
    assert "day and a time" in act(owner, "/admin/emails/schedule/", id=email.id, at="soon")
    gap = act(owner, "/admin/emails/schedule/", id=email.id, at="2050-03-13T02:30")
    assert "there is no such time" in gap
    assert "is over" in act(owner, "/admin/emails/schedule/", id=email.id, at="2001-01-01T09:00")


def test_a_second_person_approves_where_the_shop_wants_it(
    app: Flask, owner: FlaskClient, session: Session
) -> None:
    session.add(CampaignSettings(id=1, approval=True))
    session.commit()
    email = ready(owner)
    page = owner.get(page_of(email)).text
    assert "waits for the approval of somebody else" in page
    assert "/admin/emails/approve/" not in page
    assert "/admin/emails/start/" not in page
    assert "somebody else has to approve" in act(owner, "/admin/emails/approve/", id=email.id)
    assert "has to approve" in act(owner, "/admin/emails/start/", id=email.id)
    other = browser_of(app, make_user(BOB, role=Role.MANAGER))
    assert "/admin/emails/approve/" in other.get(page_of(email)).text
    assert "is approved" in act(other, "/admin/emails/approve/", id=email.id)
    assert "/admin/emails/start/" in owner.get(page_of(email)).text


def test_copies_and_second_sendings_are_drafts_of_their_own(
    owner: FlaskClient, session: Session
) -> None:
    email = make_frozen([ALICE], state=EmailState.SENT)
    recipient_of(email, ALICE).state = RecipientState.SENT
    session.commit()
    answer = owner.post("/admin/emails/copy/", data={"id": email.id})
    assert answer.status_code == 303
    assert "is a draft of its own" in said(owner.get(answer.location).text)
    told = act(owner, "/admin/emails/resend/", id=email.id, subject="Did you see?")
    assert "is a draft of its own" in told
    again = session.scalars(select(Email).where(Email.resend_of == email.id)).one()
    assert again.variants[0].subject == "Did you see?"
    assert "an email already" in act(owner, "/admin/emails/resend/", id=email.id)
    assert "is deleted" in act(owner, "/admin/emails/discard/", id=again.id)
    assert session.scalars(select(Email).where(Email.resend_of == email.id)).all() == []


def test_progress_is_told_for_the_page_that_asks(owner: FlaskClient, session: Session) -> None:
    email = make_frozen([ALICE, BOB, "charlie@example.com"])
    now = clock.now()
    session.add(
        SendLease(
            email_id=email.id,
            size=2,
            sent=1,
            failed=1,
            expires_at=now,
            ended_at=now,
        )
    )
    session.commit()
    page = owner.get(page_of(email)).text
    url = f"/admin/emails/progress/?id={email.id}"
    assert f'data-progress="{url}"' in page
    with counting() as counted:
        news = json.loads(owner.get(url).text)
    assert len(counted) <= DOOR + 8, "\n".join(counted.statements)
    assert news["figures"]["done"] == "2 of 3"
    assert (news["figures"]["sent"], news["figures"]["failed"], news["figures"]["left"]) == (
        "1",
        "1",
        "1",
    )
    assert (news["over"], news["percent"], news["spoken"]) == (False, 66.7, "60 percent done")
    assert 'data-stage="' + news["stage"] + '"' in page
    assert "<svg" in news["chart"]
    act(owner, "/admin/emails/cancel/", id=email.id)
    assert json.loads(owner.get(url).text)["over"] is True
    assert "data-progress" not in owner.get(page_of(email)).text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.STAFF])
def test_who_may_only_look_moves_nothing(enter: Enter, session: Session, role: Role) -> None:
    browser, email = enter(role), make_frozen([ALICE])
    page = browser.get(page_of(email)).text
    assert "/admin/emails/pause/" not in page
    assert browser.post("/admin/emails/pause/", data={"id": email.id}).status_code == 403
    draft = make_draft()
    for path in ("edit", "preview", "live"):
        url = f"/admin/emails/{path}/?id={draft.id}"
        assert browser.post(url, data={"name": "x"}).status_code == 403
    assert state_of(session, email) is EmailState.SENDING
