"""A list learned elsewhere comes in whole or not at all, and ours goes out and comes back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webapp.core.audit import OPERATOR
from webapp.core.models import AuditEntry
from webapp.messaging.errors import UnreadableSuppressions
from webapp.messaging.models import MailSuppression
from webapp.messaging.models import SuppressionReason as Reason
from webapp.messaging.models import SuppressionScope as Scope
from webapp.messaging.services.suppressing import (
    Report,
    export_suppressions,
    import_suppressions,
    suppress,
)

Kept = tuple[Scope, Reason, str]
OURS = """email,scope,reason,source,detail,at
Alice@Example.com,all,manual,staff,"asked, by phone",2026-01-02T03:04:05+00:00
bob@example.com,marketing,complaint,ses,,2026-01-02
"""


def bring_in(text: str, *, dry_run: bool = False) -> Report:
    return import_suppressions(text, OPERATOR, dry_run=dry_run)


def kept(session: Session) -> dict[str, Kept]:
    rows = session.scalars(select(MailSuppression).order_by(MailSuppression.email))
    return {row.email: (row.scope, row.reason, row.detail) for row in rows}


def test_a_dry_run_tells_and_changes_nothing_and_twice_is_once(session: Session) -> None:
    suppress("bob@example.com", Scope.MARKETING, Reason.BOUNCE, "bounce mail")
    dry = bring_in(OURS, dry_run=True)
    assert (dry.rows, dry.added, dry.unchanged, dry.applied) == (2, 1, 1, False)
    assert next(dry.sentences()) == "line 2: alice@example.com gets no mail (manual)."
    assert list(kept(session)) == ["bob@example.com"]

    assert bring_in(OURS).applied
    assert kept(session) == {
        "alice@example.com": (Scope.ALL, Reason.MANUAL, "asked, by phone"),
        "bob@example.com": (Scope.MARKETING, Reason.BOUNCE, ""),
    }
    again = bring_in(OURS)
    assert (again.added, again.widened, again.unchanged) == (0, 0, 2)
    wider = bring_in("email,scope\nbob@example.com,marketing\nBOB@example.com,all\n")
    assert (wider.widened, wider.repeated) == (1, 1)
    assert kept(session)["bob@example.com"][0] is Scope.ALL
    entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [entry.details for entry in entries] == [
        {"added": 1, "widened": 0},
        {"added": 0, "widened": 1},
    ]


def test_one_bad_line_stops_all_and_each_is_told(session: Session) -> None:
    text = (
        "email,scope,at\ngood@example.com,,\nnobody,,\n\n,all,\n"
        "a@example.com,some,\nb@example.com,,yesterday\n"
    )
    report = bring_in(text)
    assert kept(session) == {}
    assert list(report.sentences()) == [
        "line 3: “nobody” is not an email address.",
        "line 5: No address.",
        "line 6: The scope “some” is neither all nor marketing.",
        "line 7: “yesterday” is no moment like 2026-05-31 14:00:00.",
        "Nothing was imported: 4 to mend.",
    ]


@pytest.mark.parametrize(
    "text", ["", "name\nalice\n", 'email\n"alice@example.com\n', 'email\n"a@example.com"b\n']
)
def test_a_file_that_cant_be_read_is_refused(app: Flask, text: str) -> None:
    with pytest.raises(UnreadableSuppressions):
        bring_in(text)


@pytest.mark.parametrize(
    ("text", "expected", "unknown"),
    [
        (
            "\ufeffEmail Address,First Name,UNSUB_TIME,UNSUB_REASON\n"
            "a@example.com,Ann,2026-01-02 03:04:05,NORMAL (USER REQUESTED)\n"
            "b@example.com,Ben,2026-01-02 03:04:05,ABUSE COMPLAINT\n",
            [
                (Scope.MARKETING, Reason.IMPORT, "NORMAL (USER REQUESTED)"),
                (Scope.MARKETING, Reason.COMPLAINT, "ABUSE COMPLAINT"),
            ],
            ("First Name",),
        ),
        (
            "Email Address,CLEAN_TIME\na@example.com,2026-01-02 03:04:05\n",
            [(Scope.ALL, Reason.BOUNCE, "")],
            (),
        ),
        (
            "email,reason,created\na@example.com,550 5.1.1 no such user,1767323045\n",
            [(Scope.ALL, Reason.BOUNCE, "550 5.1.1 no such user")],
            (),
        ),
        (
            "EmailAddress;Reason;LastUpdateTime\na@example.com;BOUNCE;2026-01-02T03:04:05Z\n"
            "b@example.com;COMPLAINT;2026-01-02T03:04:05.0Z\n",
            [(Scope.ALL, Reason.BOUNCE, ""), (Scope.MARKETING, Reason.COMPLAINT, "")],
            (),
        ),
        (
            "uuid,email,name,status,created_at\n1,a@example.com,A,blocklisted,2026-01-02\n"
            "2,b@example.com,B,enabled,2026-01-02\n",
            [(Scope.MARKETING, Reason.IMPORT, "")],
            ("uuid", "name"),
        ),
    ],
    ids=["mailchimp-left", "mailchimp-cleaned", "sendgrid", "ses", "listmonk"],
)
def test_files_of_others_are_read_by_their_own_headings(
    session: Session, text: str, expected: list[Kept], unknown: tuple[str, ...]
) -> None:
    report = bring_in(text)
    assert report.applied
    assert list(kept(session).values()) == expected
    assert report.unknown_columns == unknown
    days = {row.at.date() for row in session.scalars(select(MailSuppression))}
    assert days == {datetime(2026, 1, 2, tzinfo=UTC).date()}
    assert any("Not used" in each for each in report.sentences()) == bool(unknown)


def test_what_goes_out_comes_back_the_same(app: Flask, session: Session, tmp_path: Path) -> None:
    bring_in(OURS)
    suppress("c@example.com", Scope.ALL, Reason.BOUNCE, "bounce mail", '550 "no",\r\n\tsorry')
    session.commit()
    path, runner = tmp_path / "list.csv", app.test_cli_runner()
    assert runner.invoke(args=["mail", "suppressions", "export", str(path)]).exit_code == 0
    before = "".join(export_suppressions())
    assert path.read_bytes().decode() == before
    session.execute(delete(MailSuppression))
    session.commit()
    said = runner.invoke(args=["mail", "suppressions", "import", str(path), "--dry-run"]).output
    assert "Nothing was changed: this was a dry run." in said
    said = runner.invoke(args=["mail", "suppressions", "import", str(path)]).output
    assert said.splitlines()[-1].startswith("3 rows: 3 added")
    assert "".join(export_suppressions()) == before


def test_the_operator_suppresses_and_lifts_one(app: Flask, session: Session) -> None:
    runner = app.test_cli_runner()
    said = runner.invoke(args=["mail", "suppress", "Alice@example.com", "--scope", "marketing"])
    assert said.output.startswith("alice@example.com gets no marketing (reason: manual")
    assert runner.invoke(args=["mail", "unsuppress", "alice@example.com"]).exit_code == 0
    refused = runner.invoke(args=["mail", "unsuppress", "alice@example.com"])
    assert (refused.exit_code, refused.output) == (
        1,
        "Error: This address is not on the suppression list.\n",
    )
