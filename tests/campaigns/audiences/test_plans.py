"""Audiences are looked up by index: nobody reads all recipients of all mails to find a few."""

from itertools import product
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from tests.campaigns.audiences.conftest import Town
from tests.plans import measure
from webapp.campaigns.models import EmailType
from webapp.campaigns.services.audiences import (
    count_people,
    explain_address,
    people,
    read_rules,
)
from webapp.messaging.models import MailTopic

ROWS = 20_000
NEWS = MailTopic.NEWSLETTER


@pytest.fixture
def history(session: Session, town: Town) -> Town:
    """Years of mails to people who have nothing to do with the town any more."""
    session.execute(
        text("""
        INSERT INTO email_recipient (email_id, secret, address, fields, variant, state, attempts,
                                     due_at, sent_at, opened_at)
        SELECT CASE WHEN i % 2 = 0 THEN :a ELSE :b END, i, 'former' || i || '@example.com', '{}',
               1, 'sent', 1, now(), now(), CASE WHEN i % 3 = 0 THEN now() END
        FROM generate_series(1, :rows) i
        """),
        {"a": town.mail_a.id, "b": town.mail_b.id, "rows": ROWS},
    )
    measure(session)
    return town


def plan_of(session: Session, statement: Any) -> str:
    """Return how Postgres would go about a statement, with its own parameters."""

    def explain(_: Any, __: Any, words: str, values: Any, ___: Any, ____: Any) -> Any:
        return f"EXPLAIN {words}", values

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", explain, retval=True)
    try:
        rows = session.execute(statement.with_only_columns(statement.selected_columns.address))
        return "\n".join(rows.scalars())
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def test_mails_to_a_person_are_found_by_index(session: Session, history: Town) -> None:
    for field, op in product(("received", "opened", "clicked"), ("did", "did_not")):
        for value, days in (([history.mail_a.id], None), (None, None), (None, 30)):
            condition = {"field": field, "op": op, "value": value, "days": days}
            statement = people(EmailType.BOTH, NEWS, read_rules({"of": [condition]}))
            plan = plan_of(session, statement)
            assert "Seq Scan on email_recipient" not in plan, plan
            assert "email_recipient" in plan


def test_counting_and_explaining_take_few_statements(session: Session, history: Town) -> None:
    rules = read_rules(
        {
            "match": "any",
            "of": [
                {"field": "opened", "op": "did", "value": [history.mail_a.id]},
                {"field": "ordered", "op": "at_least", "value": 2},
                {"field": "tag", "op": "is", "value": ["vip"]},
            ],
        }
    )
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    count_people(EmailType.BOTH, NEWS, rules)
    assert len(seen) == 2
    seen.clear()
    explain_address(history.mail_a.id, "erin@example.com")
    assert len(seen) < 12
    event.remove(connection, "before_cursor_execute", note)
