"""The pipe of a mail server: one message at the standard input, and an answer it understands."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from jobs.messaging import read_reports
from tests.factories.emails import code_of, make_frozen, recipient_of
from tests.messaging.bounces.letters import report
from webapp.core.db import db
from webapp.messaging.models import MailReport, MailSuppression, ReportState

RECEIVE = ["mail", "receive"]


def test_a_piped_bounce_is_kept_once_and_read(app: Flask, tmp_path: Path) -> None:
    email = make_frozen(["bob@example.com"])
    message = report("postfix-unknown-user", code_of(recipient_of(email, "bob@example.com")))
    runner = app.test_cli_runner()
    first = runner.invoke(args=RECEIVE, input=message)
    assert (first.exit_code, first.output) == (0, "Received; it is read in a moment.\n")
    file = tmp_path / "bounce.eml"
    file.write_bytes(message)
    again = runner.invoke(args=[*RECEIVE, str(file)])
    assert (again.exit_code, again.output) == (0, "Received before.\n")
    read_reports()
    (kept,) = db.session.scalars(select(MailReport))
    assert kept.state is ReportState.DONE
    assert db.session.scalars(select(MailSuppression.email)).all() == ["bob@example.com"]


def test_what_is_no_message_is_refused_with_a_sentence(app: Flask) -> None:
    runner = app.test_cli_runner()
    empty = runner.invoke(args=RECEIVE, input=b" \n")
    assert (empty.exit_code, empty.output) == (1, "Error: There is no message: nothing came in.\n")
    huge = runner.invoke(args=RECEIVE, input=b"x" * (25 * 1024**2 + 1))
    assert huge.exit_code == 1
    assert "larger than 25 MiB" in huge.output
    assert db.session.scalars(select(MailReport)).all() == []


def test_the_mail_server_is_told_to_try_again_while_the_database_is_away(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: bytes) -> bool:
        raise OperationalError("insert", {}, Exception("no connection"))

    monkeypatch.setattr("webapp.messaging.commands.receive_message", away)
    answer = app.test_cli_runner().invoke(args=RECEIVE, input=b"From: a@b.example\n\nhello")
    assert answer.exit_code == 75
    assert answer.output == "The database can't be used now. Try again later.\n"
