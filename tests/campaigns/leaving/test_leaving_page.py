"""The page behind a mail's unsubscribe link: leave, say why, choose instead, come back."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.attacks.pages import Page
from tests.campaigns.leaving.conftest import ALICE, Sent, goodbyes, wanted
from tests.factories.people import browser_of, make_user
from webapp.campaigns.models import LeaveReason, LeaveWay
from webapp.campaigns.services.unsubscribing import MAX_COMMENT, is_tracked
from webapp.messaging.models import MailTopic, SuppressionReason, SuppressionScope
from webapp.messaging.services.consent import consents_of
from webapp.messaging.services.suppressing import is_suppressed, suppress


def test_the_page_says_who_what_and_where_without_giving_the_address_away(
    client: FlaskClient, sent: Sent
) -> None:
    page = client.get(sent.path)
    assert page.status_code == 200
    assert "a•••@example.com" in page.text
    assert ALICE not in page.text
    assert "Northwind Goods" in page.text
    assert "Newsletter" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert Page(page.text).faults == []


def test_one_press_leaves_and_a_reason_may_follow(client: FlaskClient, sent: Sent) -> None:
    for _ in range(2):
        answer = client.post(f"{sent.path}/leave", data={"what": "topic"}, follow_redirects=True)
        assert "You have left" in answer.text
    assert wanted(ALICE) == set()
    assert consents_of(ALICE)[MailTopic.NEWSLETTER].source == f"unsubscribe:email:{sent.email.id}"
    reason = {"reason": "never_signed_up", "comment": "Who\r\nare you?\0"}
    answer = client.post(f"{sent.path}/leave", data=reason, follow_redirects=True)
    assert "Thank you for telling us" in answer.text
    # Leaving once more without a word doesn't take the reason back.
    client.post(sent.path, data={"List-Unsubscribe": "One-Click"})
    (goodbye,) = goodbyes()
    assert goodbye.way is LeaveWay.PAGE
    assert goodbye.reason is LeaveReason.NEVER_SIGNED_UP
    assert goodbye.comment == "Who\nare you?"


def test_words_without_a_reason_are_another_one(client: FlaskClient, sent: Sent) -> None:
    client.post(f"{sent.path}/leave", data={"comment": "Bye"})
    assert goodbyes()[0].reason is LeaveReason.OTHER


@pytest.mark.parametrize(
    "fields", [{"comment": "x" * (MAX_COMMENT + 1)}, {"reason": "unsaid"}, {"reason": "nonsense"}]
)
def test_too_many_words_and_made_up_reasons_are_refused(
    client: FlaskClient, sent: Sent, fields: dict[str, str]
) -> None:
    answer = client.post(f"{sent.path}/leave", data=fields)
    assert answer.status_code == 422
    assert 'class="error"' in answer.text
    assert wanted(ALICE) == {MailTopic.NEWSLETTER}
    assert goodbyes() == []


def test_everything_can_be_left_and_chosen_again(client: FlaskClient, sent: Sent) -> None:
    client.post(f"{sent.path}/topics", data={"topics": ["offers", "newsletter", "evil"]})
    assert wanted(ALICE) == {MailTopic.OFFERS, MailTopic.NEWSLETTER}
    assert goodbyes() == []
    client.post(f"{sent.path}/leave", data={"what": "all", "reason": "spam"})
    assert wanted(ALICE) == set()
    assert set(consents_of(ALICE)) == set(MailTopic)
    assert goodbyes()[0].reason is LeaveReason.SPAM
    page = client.post(f"{sent.path}/back", follow_redirects=True)
    assert "Good to have you back" in page.text
    assert wanted(ALICE) == {MailTopic.NEWSLETTER}
    client.post(f"{sent.path}/topics", data={"topics": ["reminders"]})
    assert wanted(ALICE) == {MailTopic.REMINDERS}
    assert len(goodbyes()) == 1


def test_opens_and_clicks_can_be_kept_to_oneself(
    app: Flask, client: FlaskClient, sent: Sent
) -> None:
    for _ in range(2):
        client.post(f"{sent.path}/tracking")
        assert not is_tracked(ALICE)
    alice = browser_of(app, make_user(ALICE))
    client.post(f"{sent.path}/tracking", data={"record": "on"})
    assert is_tracked(ALICE)
    alice.post("/account/mail/tracking")
    assert not is_tracked(ALICE)
    alice.post("/account/mail/tracking", data={"record": "on"})
    assert is_tracked(ALICE)


def test_the_pages_own_buttons_need_its_token_but_for_leaving(app: Flask, sent: Sent) -> None:
    """Browsers within mail programs may keep no cookies: who wants to leave must be able to."""
    browser = app.test_client(use_cookies=False)
    for page in ("back", "topics", "tracking"):
        assert browser.post(f"{sent.path}/{page}", data={"what": "all"}).status_code == 400
    assert wanted(ALICE) == {MailTopic.NEWSLETTER}
    form = next(f for f in Page(browser.get(sent.path).text).forms if f.action.endswith("/leave"))
    assert form.method == "POST"
    assert browser.post(form.action, data=form.values()).status_code == 303
    assert wanted(ALICE) == set()


@pytest.mark.parametrize(
    ("scope", "reason", "still"),
    [
        (SuppressionScope.MARKETING, SuppressionReason.COMPLAINT, False),
        (SuppressionScope.MARKETING, SuppressionReason.MANUAL, True),
        (SuppressionScope.ALL, SuppressionReason.BOUNCE, True),
    ],
)
def test_who_complained_and_comes_back_gets_mails_again(
    client: FlaskClient,
    sent: Sent,
    scope: SuppressionScope,
    reason: SuppressionReason,
    still: bool,
) -> None:
    suppress(ALICE, scope, reason, "test")
    client.post(f"{sent.path}/back")
    assert is_suppressed(ALICE, marketing=True) is still
