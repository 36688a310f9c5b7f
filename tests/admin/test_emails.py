"""The room of emails: written, looked at, tested, moved on by buttons, watched while sent."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting, said
from tests.admin.people import add_consent, make_prospect
from tests.admin.test_catalog import save, titles, typed
from tests.factories.emails import make_draft, make_frozen, recipient_of
from tests.factories.people import browser_of, make_user
from webapp.accounts.models import Role
from webapp.campaigns.models import (
    Audience,
    CampaignSettings,
    Email,
    EmailState,
    RecipientState,
    SendLease,
)
from webapp.campaigns.services.populating import populate
from webapp.core import clock
from webapp.core.models import AuditEntry, Job
from webapp.messaging.models import Mail

ALICE, BOB = "alice@example.com", "bob@example.com"


def page_of(email: Email) -> str:
    return f"/admin/emails/details/?id={email.id}"


def edit(browser: FlaskClient, email: Email, **changes: Any) -> str:
    """Change some of a draft on its page and save it; returns the page that follows."""
    fields: dict[str, Any] = typed(browser.get(page_of(email)).text) | changes
    fields = {name: value for name, value in fields.items() if value is not None}
    url = f"/admin/emails/edit/?id={email.id}"
    return browser.post(url, data=fields, follow_redirects=True).text


def readers(*addresses: str) -> None:
    for number, address in enumerate(addresses):
        make_prospect(address, name=f"Charlie {number}")
        add_consent(address)


def ready(owner: FlaskClient, *addresses: str) -> Email:
    """Return a mail that was made ready by its button, for those prospects."""
    readers(*(addresses or (ALICE,)))
    email = make_draft(body="Hello {{ first_name | there }}, look at https://example.com/hat")
    assert "is ready" in act(owner, "/admin/emails/make-ready/", id=email.id)
    populate(email.id)
    from webapp.core.db import db

    db.session.commit()
    return email


def done_to(session: Session, email: Email) -> list[str]:
    about = AuditEntry.subject == f"email:{email.id}"
    return list(session.scalars(select(AuditEntry.action).where(about).order_by(AuditEntry.id)))


def state_of(session: Session, email: Email) -> EmailState:
    session.expire_all()
    return session.get_one(Email, email.id).state


def test_a_draft_is_made_and_opens_on_its_desk(owner: FlaskClient, session: Session) -> None:
    page = save(
        owner, "/admin/emails/new/", name="Spring", subject="Spring is here", topic="offers"
    )
    assert "Spring is added." in said(page)
    assert "How it looks" in page
    email = session.scalars(select(Email)).one()
    assert (email.name, email.topic.value, email.variants[0].subject) == (
        "Spring",
        "offers",
        "Spring is here",
    )
    assert done_to(session, email) == ["email.created"]


def test_everything_about_a_draft_is_kept(owner: FlaskClient, session: Session) -> None:
    audience = Audience(name="Everyone", rules={})
    session.add(audience)
    email = make_draft()
    page = edit(
        owner,
        email,
        name="Summer",
        audience=str(audience.id),
        format="html",
        with_layout=None,
        track_opens=None,
        utm_campaign="summer",
        window_from="09:00",
        window_to="00:00",
        in_recipients_zone="y",
        public="y",
        **{"variants-0-subject": "Sun", "variants-0-body": "<p>Two\r\nlines</p>"},
    )
    assert "Summer is saved." in said(page)
    session.expire_all()
    row = session.get_one(Email, email.id)
    assert (row.name, row.audience_id, row.format.value) == ("Summer", audience.id, "html")
    assert (row.with_layout, row.track_opens, row.track_clicks) == (False, False, True)
    assert (row.utm_campaign, row.window_from, row.window_to) == ("summer", 540, 1440)
    assert (row.in_recipients_zone, row.public) == (True, True)
    assert (row.variants[0].subject, row.variants[0].body) == ("Sun", "<p>Two\nlines</p>")
    again = typed(owner.get(page_of(email)).text)
    assert (again["window_from"], again["window_to"]) == ("09:00", "00:00")
    assert again["audience"] == str(audience.id)


def test_a_variant_is_added_changed_and_taken_out(owner: FlaskClient, session: Session) -> None:
    email = make_draft("First")
    page = edit(owner, email, also="add", **{"variants-0-subject": "Changed too"})
    assert page.count('class="variant"') == 2
    edit(owner, email, **{"variants-1-subject": "Second"})
    session.expire_all()
    row = session.get_one(Email, email.id)
    assert [each.subject for each in row.variants] == ["Changed too", "Second"]
    assert row.ab_share == 20
    edit(owner, email, also="remove-1")
    edit(owner, email, also="remove-2")
    session.expire_all()
    assert [each.subject for each in session.get_one(Email, email.id).variants] == ["Changed too"]


def test_who_saves_over_somebody_else_is_told_and_loses_no_word(
    owner: FlaskClient, enter: Enter, session: Session
) -> None:
    email = make_draft()
    mine: dict[str, Any] = typed(owner.get(page_of(email)).text)
    edit(enter(Role.MANAGER), email, **{"variants-0-body": "Theirs"})
    url = f"/admin/emails/edit/?id={email.id}"
    answer = owner.post(url, data=mine | {"variants-0-body": "Mine"})
    assert answer.status_code == 422
    assert "Somebody else saved this email" in answer.text
    assert ">\r\nMine</textarea>" in answer.text
    session.expire_all()
    assert session.get_one(Email, email.id).variants[0].body == "Theirs"
    # A second press of one's own button is no conflict: the words are there already.
    mine = typed(owner.get(page_of(email)).text) | {"variants-0-body": "Mine"}
    for _ in range(2):
        assert "is saved" in said(owner.post(url, data=mine, follow_redirects=True).text)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ""}, "Name it"),
        ({"variants-0-subject": "one\ntwo"}, "Only one line"),
        ({"window_from": "20:00", "window_to": "09:00"}, "ends after it begins"),
        ({"utm_campaign": "x" * 101}, "longer than 100"),
        ({"audience": "999"}, "Not a valid choice"),
        ({"seen": "yesterday"}, "not complete"),
    ],
)
def test_a_draft_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    email = make_draft()
    values: dict[str, Any] = typed(owner.get(page_of(email)).text) | {"name": "Other"} | changes
    answer = owner.post(f"/admin/emails/edit/?id={email.id}", data=values)
    assert (answer.status_code, why in answer.text) == (422, True)
    assert state_of(session, email) is EmailState.DRAFT
    assert session.get_one(Email, email.id).name == "News from the shop"


def test_a_mail_under_way_is_no_longer_written(owner: FlaskClient, session: Session) -> None:
    email = make_draft()
    fields: dict[str, Any] = typed(owner.get(page_of(email)).text) | {"name": "Later"}
    session.get_one(Email, email.id).state = EmailState.READY
    session.commit()
    url = f"/admin/emails/edit/?id={email.id}"
    page = owner.post(url, data=fields, follow_redirects=True).text
    assert "Take it back to draft" in said(page)
    assert 'id="editor"' not in page


def test_the_look_is_a_document_that_can_not_reach_us(owner: FlaskClient, session: Session) -> None:
    """Mails bring styles, and whoever wrote one may try more: it runs nowhere, in no origin."""
    email = make_draft(body="x")
    wild = '<style>p{color:red}</style><p onclick="x()">Hi</p><script>steal()</script>'
    edit(owner, email, format="html", **{"variants-0-body": wild})
    answer = owner.get(f"/admin/emails/preview/?id={email.id}")
    assert answer.status_code == 200
    policy = answer.headers.get_all("Content-Security-Policy")
    assert len(policy) == 1
    rules = dict(rule.partition(" ")[::2] for rule in policy[0].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == "'unsafe-inline'"
    assert rules["frame-ancestors"] == "'self'"
    assert "script-src" not in rules
    assert "allow-scripts" not in rules["sandbox"]
    assert "allow-same-origin" not in rules["sandbox"]
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "steal" not in answer.text
    assert "onclick" not in answer.text
    desk = owner.get(page_of(email))
    assert "'unsafe-inline'" not in desk.headers["Content-Security-Policy"]
    assert desk.headers["X-Frame-Options"] == "DENY"
    assert re.search(r'<iframe[^>]* sandbox="allow-popups[^"]*"', desk.text)
    # As text it is words, whatever they look like.
    edit(owner, email, **{"variants-0-written_text": "<script>steal()</script>"})
    text = owner.get(f"/admin/emails/preview/?id={email.id}&look_as=text").text
    assert "&lt;script&gt;steal()" in text


def test_what_is_typed_is_shown_and_judged_before_it_is_saved(
    owner: FlaskClient, session: Session
) -> None:
    email = make_draft("Saved", body="Saved words")
    readers(ALICE)
    fields: dict[str, Any] = typed(owner.get(page_of(email)).text)
    fields |= {"variants-0-subject": "Dear {{ first_name | you }}", "variants-0-body": "New words"}
    shown = owner.post(f"/admin/emails/preview/?id={email.id}", data=fields).text
    assert "New words" in shown
    assert "Saved words" not in shown
    live = owner.post(f"/admin/emails/live/?id={email.id}", data=fields | {"look_address": ALICE})
    assert "Dear Charlie" in live.text
    assert "<strong>1</strong> person gets it now" in live.text
    broken = owner.post(
        f"/admin/emails/live/?id={email.id}", data=fields | {"variants-0-subject": ""}
    )
    assert 'class="bad"' in broken.text
    session.expire_all()
    assert session.get_one(Email, email.id).variants[0].subject == "Saved"
    nobody = owner.post(
        f"/admin/emails/preview/?id={email.id}", data=fields | {"look_address": "no@example.com"}
    )
    assert nobody.status_code == 200
    assert "Nobody with this address" in nobody.text


def test_whose_mail_it_is_is_shown_to_those_who_may_see_people(
    enter: Enter, session: Session
) -> None:
    email = make_draft(body="Hello {{ first_name | there }}")
    readers(ALICE)
    url = f"/admin/emails/preview/?id={email.id}&look_address={ALICE}"
    assert "Hello Charlie" in enter(Role.STAFF).get(url).text
    viewer = enter(Role.VIEWER)
    assert "Hello Charlie" not in viewer.get(url).text
    page = viewer.get(page_of(email)).text
    assert 'id="editor"' not in page
    assert "look_address" not in page
    assert "/admin/emails/test/" not in page


def test_a_test_is_sent_once_for_one_form(owner: FlaskClient, session: Session) -> None:
    email = make_draft("Look", body="Hello")
    nonce = typed(owner.get(page_of(email)).text)["nonce"]
    for _ in range(2):
        told = act(owner, "/admin/emails/test/", id=email.id, to=BOB, nonce=nonce)
        assert "A test is on its way to bob@example.com" in told
    mail = session.scalars(select(Mail)).one()
    assert (mail.recipient, mail.subject) == (BOB, "[Test] Look")
    assert typed(owner.get(page_of(email)).text)["nonce"] != nonce
    assert "not an email address" in act(
        owner, "/admin/emails/test/", id=email.id, to="bob", nonce="other"
    )


def test_links_are_tried_by_a_job(owner: FlaskClient, session: Session) -> None:
    email = make_draft(body="https://example.com/")
    assert "being tried" in act(owner, "/admin/emails/check-links/", id=email.id)
    paths = session.scalars(select(Job.path).where(Job.subject == f"email:{email.id}")).all()
    assert paths == ["jobs.campaigns.check_links"]


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


def test_the_list_takes_few_statements_for_many(owner: FlaskClient, session: Session) -> None:
    audience = Audience(name="Everyone", rules={})
    session.add(audience)
    session.flush()
    for number in range(12):
        make_frozen([f"reader{number}@example.com"]).audience_id = audience.id
        make_draft(f"Draft {number}")
    session.commit()
    with counting() as counted:
        page = owner.get("/admin/emails/").text
    assert len(counted) <= DOOR + 16, "\n".join(counted.statements)
    assert len(titles(page)) == 24
    with counting() as again:
        owner.get("/admin/emails/?state=draft")
    assert len(again) <= len(counted)


def test_the_list_is_searched_and_narrowed(owner: FlaskClient, session: Session) -> None:
    make_draft("Spring").name = "Alpha"
    make_draft("Autumn").name = "Beta"
    make_frozen([ALICE])
    session.commit()
    assert titles(owner.get("/admin/emails/?search=spring").text) == ["Alpha"]
    assert titles(owner.get("/admin/emails/?search=bet").text) == ["Beta"]
    assert titles(owner.get("/admin/emails/?state=under_way").text) == ["News"]


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


def test_nonsense_is_answered_with_a_look_or_a_sentence(
    owner: FlaskClient, session: Session
) -> None:
    email = make_draft(body="Saved words")
    fields: dict[str, Any] = typed(owner.get(page_of(email)).text)
    nonsense = [
        {"type": "nobody"},
        {"format": "pdf"},
        {"variants-0-body": "\0{{ x", "variants-0-subject": "\0\n"},
        {"format": "mjml", "variants-0-body": "<mjml><mj-body><"},
        {"look_address": "\0@\n", "look_variant": "9"},
        {"variants-7-body": "far away", "ab_minutes": "9" * 400, "audience": "9" * 30},
    ]
    for changes in nonsense:
        for page in ("preview", "live"):
            answer = owner.post(f"/admin/emails/{page}/?id={email.id}", data=fields | changes)
            assert (page, changes, answer.status_code) == (page, changes, 200)
        answer = owner.post(f"/admin/emails/edit/?id={email.id}", data=fields | changes)
        assert answer.status_code in (303, 422), changes
    assert owner.get("/admin/emails/preview/?id=x").status_code == 404
    assert owner.post("/admin/emails/test/", data={"id": email.id, "to": "\0@"}).status_code == 303
