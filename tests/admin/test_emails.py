"""The room of emails: drafts written, looked at and tested, and the list of all."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.campaigns import ALICE, BOB, done_to, page_of, readers, state_of
from tests.admin.conftest import DOOR, Enter, act, counting, said
from tests.admin.test_catalog import save, titles, typed
from tests.factories.emails import make_draft, make_frozen
from webapp.accounts.models import Role
from webapp.campaigns.models import (
    Audience,
    Email,
    EmailState,
)
from webapp.core.models import Job
from webapp.messaging.models import Mail


def edit(browser: FlaskClient, email: Email, **changes: Any) -> str:
    """Change some of a draft on its page and save it; returns the page that follows."""
    fields: dict[str, Any] = typed(browser.get(page_of(email)).text) | changes
    fields = {name: value for name, value in fields.items() if value is not None}
    url = f"/admin/emails/edit/?id={email.id}"
    return browser.post(url, data=fields, follow_redirects=True).text


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
