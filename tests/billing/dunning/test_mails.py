"""What people read: every mail for every kind of refusal, in HTML and in text."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask

from tests.billing.dunning.conftest import DAY, MakeStory, Story
from tests.factories.billing import NOON, make_policy
from webapp.billing.models import DeclineKind
from webapp.billing.policy import Mailing, Policy
from webapp.billing.services.dunning import mails, policies
from webapp.core.db import db
from webapp.messaging.services.composing import Words


@pytest.mark.parametrize("name", [*policies.MAILS, mails.EXPIRING])
@pytest.mark.parametrize("kind", DeclineKind)
def test_every_mail_says_what_is_owed_and_how_to_mend_it(
    app: Flask, name: str, kind: DeclineKind
) -> None:
    words = mails.preview(name, kind)
    both = words.text + words.html
    assert 10 < len(words.subject) < 70
    assert "http://localhost/card/preview" in words.text
    assert 'href="http://localhost/card/preview"' in words.html
    assert "Visa 4242" in words.text or "$19.00" in words.text
    assert "Pro" in words.text
    assert not re.search(r"None|\{\{|Undefined|&lt;|&amp;#|\w \.|\.\.|<p></p>", both)


def sent(story: Story, days: int) -> Words:
    story.look(NOON + days * DAY)
    mail = story.mails()[-1]
    return Words(mail.subject, mail.text, mail.html)


def test_each_kind_of_refusal_is_told_by_what_helps(make_story: MakeStory) -> None:
    expected = {
        "insufficient_funds": ("didn’t go through", "That often passes by itself"),
        "expired_card": ("needs another card", "your current card will"),
        "authentication_required": ("Please confirm", "Nothing is wrong with your card"),
        "stolen_card": ("needs another card", "does not accept this card any more"),
        "missing": ("has no card", "there is no card we could charge"),
    }
    for number, (code, (subject, sentence)) in enumerate(expected.items()):
        story = make_story(code, name=f"alice{number}")
        story.invoice.next_payment_attempt = datetime(2030, 3, 7, 12, tzinfo=UTC)
        story.follow()
        words = sent(story, 0)
        assert subject in words.subject
        assert sentence in words.text
        assert sentence in words.html
        assert ("We try again on Mar 7, 2030" in words.text) == (code == "insufficient_funds")


def test_days_are_those_of_the_policy_and_names_are_escaped(make_story: MakeStory) -> None:
    story = make_story()
    assert story.subscription.price is not None
    story.subscription.price.plan.name = "Ben & <b>Co</b>"
    db.session.commit()
    story.follow()
    first = sent(story, 0)
    assert "you keep Ben & <b>Co</b> as it is, until Mar 11, 2030." in first.text
    assert "Ben &amp; &lt;b&gt;Co&lt;/b&gt;" in first.html
    assert "<b>Co" not in first.html
    assert sent(story, 7).subject == "Ben & <b>Co</b> is on hold"
    assert sent(story, 10).subject == "Ben & <b>Co</b> ends in 4 days"
    assert sent(story, 13).subject == "Last reminder: Ben & <b>Co</b> ends tomorrow"


def test_without_wall_and_end_no_mail_threatens_with_them(make_story: MakeStory) -> None:
    days = {"failed": 0, "reminder": 1, "walled": 2, "urgent": 3, "last": 4}
    mailings = tuple(Mailing(day, name) for name, day in days.items())
    make_policy(Policy(mailings=mailings, wall_day=None, end_day=None))
    story = make_story()
    story.follow()
    for day in days.values():
        words = sent(story, day)
        for threat in (" ends ", "on hold", "is paused", "until M"):
            assert threat not in words.subject + words.text, words.subject
    assert len(story.mails()) == 5


def test_a_mail_of_a_case_carries_a_key_so_its_body_does_not_outlive_the_sending(
    story: Story,
) -> None:
    story.look(NOON)
    [mail] = story.mails()
    assert mail.secret
    assert mail.dedupe_key == f"dunning:{story.case.id}:mail:0"
