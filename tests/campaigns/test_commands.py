"""A campaign from the shell, and the story of one address."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from tests.campaigns.sending.conftest import let_want
from tests.factories.emails import make_frozen, recipient_of
from tests.factories.people import make_user
from webapp.campaigns.models import EmailState, RecipientState
from webapp.campaigns.services.emails import get_email
from webapp.campaigns.services.sequences import get_sequence
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.messaging.models import SuppressionReason, SuppressionScope
from webapp.messaging.services.suppressing import suppress

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    def invoke(*words: object) -> Result:
        return app.test_cli_runner().invoke(args=[str(word) for word in words])

    return invoke


def test_a_campaign_is_written_checked_sent_and_looked_at(
    app: Flask, run: Run, run_jobs: Callable[[], int], tmp_path: Path
) -> None:
    db.session.get_one(Shop, 1).postal_address = "1 Mill Lane\nLeeds"
    make_user("alice@example.com", name="Alice Smith")
    let_want(["alice@example.com"])
    body = tmp_path / "news.md"
    body.write_text("Hello {{ first_name | there }},\n\n[The shop](http://localhost/products)")
    number = run("campaign", "create", "May", "--subject", "News", "--body", body).output.strip()
    assert run("campaign", "check", number).exit_code == 0
    shown = run("campaign", "preview", number, "--as", "alice@example.com").output
    assert "Subject: News" in shown
    assert "Hello Alice" in shown
    assert "on its way" in run("campaign", "test", number, "bob@example.com").output
    assert run("campaign", "ready", number).exit_code == 0
    run_jobs()
    assert "0 recipients were added" in run("campaign", "populate", number).output
    assert "ready" in run("campaign", "list").output
    assert "1 people" in run("campaign", "send", number, "--yes").output
    again = run("campaign", "send", number, "--yes")
    assert again.exit_code == 1
    assert "Traceback" not in again.output
    assert run("campaign", "pause", number).exit_code == 0
    assert run("campaign", "resume", number).exit_code == 0
    run_jobs()
    assert "sent: 1 of 1 sent" in run("campaign", "progress", number, "--watch").output
    assert "delivered" in run("campaign", "results", number).output
    assert "alice@example.com" in run("campaign", "recipients", number, "--state", "sent").output
    assert get_email(int(number)).state == "sent"


def test_a_draft_is_changed_tested_in_two_versions_and_given_a_window(
    run: Run, tmp_path: Path
) -> None:
    body = tmp_path / "news.md"
    body.write_text("Hello")
    number = run("campaign", "create", "May", "--subject", "News", "--body", body).output.strip()
    assert run("campaign", "edit", number, "--version", 2, "--subject", "Other news").exit_code == 0
    words = ["--window", "09:00-18:30", "--ab-share", 20, "--ab-metric", "opens", "--public"]
    assert run("campaign", "edit", number, "--name", "June", *words).exit_code == 0
    email = get_email(int(number))
    assert [each.subject for each in email.variants] == ["News", "Other news"]
    assert email.variants[0].body == "Hello"
    assert (email.name, email.public, email.ab_share, email.ab_metric) == (
        "June",
        True,
        20,
        "opens",
    )
    assert (email.window_from, email.window_to) == (540, 1110)
    assert run("campaign", "edit", number, "--window", "any").exit_code == 0
    assert run("campaign", "drop-version", number, 1).exit_code == 0
    db.session.expire_all()
    assert [each.subject for each in email.variants] == ["Other news"]
    assert (email.window_from, email.public) == (None, True)
    assert run("campaign", "edit", number, "--window", "9-5").exit_code == 2
    assert run("campaign", "edit", number, "--version", 5).exit_code == 2
    assert run("campaign", "drop-version", number, 1).output.startswith("Error: An email has one")


def test_one_person_gets_it_once_more_and_mails_are_compared(run: Run) -> None:
    email = make_frozen(["alice@example.com"], state=EmailState.SENT)
    refused = run("campaign", "send-again", email.id, "alice@example.com")
    assert refused.output.startswith("Error: Only a mail that failed")
    recipient = recipient_of(email, "alice@example.com")
    recipient.state = RecipientState.FAILED
    db.session.commit()
    assert "once more" in run("campaign", "send-again", email.id, "Alice@example.com").output
    assert "not for bob" in run("campaign", "send-again", email.id, "bob@example.com").output
    db.session.expire_all()
    assert recipient.state is RecipientState.PENDING
    assert f"{email.id}  " in run("campaign", "compare", email.id, 999_999).output


def test_a_sequence_from_the_shell(run: Run, tmp_path: Path) -> None:
    db.session.get_one(Shop, 1).postal_address = "1 Mill Lane\nLeeds"
    db.session.commit()
    body = tmp_path / "hello.md"
    body.write_text("Hello, and [welcome](http://localhost/products).")

    def sequence(*words: object) -> str:
        done = run("campaign", "sequence", *words)
        assert done.exit_code == 0, done.output
        return done.output.strip()

    number = sequence("create", "Welcome", "--after", "newsletter_joined", "--goal", "order_placed")
    first, second = sequence("add", number), sequence("add", number, "--minutes", 60)
    steps = [step.id for step in get_sequence(int(number)).steps]
    sequence("order", number, *reversed(steps))
    sequence("remove", steps[0])
    assert run("campaign", "check", first).output.startswith("Error: There is no such email")
    run("campaign", "edit", second, "--subject", "Welcome", "--body", body)
    sequence("wait", steps[1], 0)
    sequence("on", number)
    assert "on   newsletter_joined" in sequence("list")
    assert f"email {second}, after 0 min: 0 waiting" in sequence("show", number)
    refused = run("campaign", "sequence", "add", number)
    assert refused.output.startswith("Error: ")
    sequence("off", number)
    assert int(sequence("rewrite", steps[1])) != int(second)
    sequence("delete", number)
    assert sequence("list") == ""


def test_what_is_wrong_is_a_sentence(run: Run, tmp_path: Path) -> None:
    body = tmp_path / "body.md"
    body.write_text("Hello {{ nobody_knows }}")
    number = run("campaign", "create", "Bad", "--subject", "", "--body", body).output.strip()
    checked = run("campaign", "check", number)
    assert checked.exit_code == 1
    assert "error" in checked.output
    for command in ("ready", "send", "pause", "schedule"):
        more = ["2020-01-01T09:00"] if command == "schedule" else []
        refused = run("campaign", command, number, *more, *(["--yes"] if command == "send" else []))
        assert refused.exit_code == 1, command
        assert refused.output.startswith("Error: "), command
    assert run("campaign", "check", 999_999).output.startswith("Error: There is no such email")


def test_audiences_and_imports_from_the_shell(run: Run, tmp_path: Path) -> None:
    rules = json.dumps({"match": "all", "of": [{"field": "tag", "op": "is", "value": ["vip"]}]})
    made = run("campaign", "audience", "create", "Best", rules)
    assert made.exit_code == 0, made.output
    file = tmp_path / "people.csv"
    file.write_text("Email Address,First Name,TAGS\nann@example.com,Ann,vip\n")
    words = ["--consent", "signed up at the fair in May", "--tag", "fair"]
    assert "dry run" in run("campaign", "import", file, *words, "--dry-run").output
    assert "1 people are new" in run("campaign", "import", file, *words).output
    assert "1 would get it" in run("campaign", "audience", "size", made.output.strip()).output
    assert "Best" in run("campaign", "audience", "list").output
    assert run("campaign", "audience", "create", "Worse", "{").output.startswith("Error: The rules")


def test_an_address_is_told_every_mail_and_why_others_were_withheld(app: Flask, run: Run) -> None:
    let_want(["alice@example.com"])
    make_frozen(["alice@example.com"])
    other = make_frozen(["bob@example.com"])
    suppress(
        "alice@example.com", SuppressionScope.MARKETING, SuppressionReason.COMPLAINT, "a report"
    )
    db.session.commit()
    told = run("mail", "explain", "Alice@example.com").output
    assert "Gets no marketing since" in told
    assert "Newsletter: wanted since" in told
    assert "pending" in told
    assert f"email:{other.id}  News: " in told
    nobody = run("mail", "explain", "nobody@example.com").output
    assert "0 mails and reports" in nobody
