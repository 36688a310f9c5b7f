"""A campaign from the shell, and the story of one address."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from tests.campaigns.sending.conftest import let_want
from tests.factories.emails import make_frozen
from tests.factories.people import make_user
from webapp.campaigns.services.emails import get_email
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
