"""How failed payments are chased: written version by version, seen and tried before it holds."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.admin.billing.test_cases import make_case
from tests.admin.conftest import Enter
from tests.factories.billing import NOON, make_plan, make_policy, make_step
from webapp.accounts.models import Role
from webapp.billing.models import CaseState, DunningPolicy
from webapp.billing.policy import Policy
from webapp.core import clock
from webapp.core.models import AuditEntry

NEW = "/admin/dunning-policy/new/"


def typed(**changes: object) -> dict[str, Any]:
    """Return the fields of the form as a browser sends them: two mails, a wall and an end."""
    fields: dict[str, Any] = {
        "mailings-0-day": "5",
        "mailings-0-mail": "last",
        "mailings-1-day": "1",
        "mailings-1-mail": "failed",
        "mailings-1-kinds": ["needs_customer", "never"],
        "mailings-2-day": "",
        "mailings-2-mail": "failed",
        "banner": "y",
        "wall_day": "4",
        "end_day": "6",
        "end": "pause",
        "quiet_from": "22:00",
        "quiet_to": "07:30",
        "weekdays": ["0", "1", "2", "3", "4"],
        "minimum_amount": "5.00",
        "excluded_plans": ["pro"],
        "excluded_reasons": ["manual"],
        "card_expiry_days": "14, 3",
        "note": "Shorter",
        "since": str(clock.now().date() - timedelta(days=30)),
        "until": str(clock.now().date()),
    }
    return fields | changes


@pytest.fixture
def monday() -> Iterator[None]:
    """A Monday at noon: which day it is decides where mails that keep weekdays go."""
    with clock.frozen(NOON):
        yield


def errors_of(page: str) -> str:
    return " ".join(re.findall(r'<div class="notice bad".*?</div>', page, re.DOTALL))


def test_a_new_version_holds_for_cases_to_come(owner: FlaskClient, session: Session) -> None:
    make_plan()
    case, before = make_case(), make_policy()
    page = owner.get(NEW).text
    assert 'value="21:00"' in page
    answer = owner.post(NEW, data=typed())
    assert answer.status_code == 303
    row = session.scalars(select(DunningPolicy).where(DunningPolicy.in_force)).one()
    assert answer.location.endswith(f"id={row.id}")
    policy = Policy.of(row.rules)
    assert [(each.day, each.mail, len(each.kinds)) for each in policy.mailings] == [
        (1, "failed", 2),
        (5, "last", 0),
    ]
    assert (policy.wall_day, policy.end_day, policy.end.value) == (4, 6, "pause")
    assert (policy.quiet_from, policy.quiet_to) == (22 * 60, 7 * 60 + 30)
    assert (policy.minimum_amount, policy.excluded_plans) == (500, frozenset({"pro"}))
    assert (policy.weekdays, policy.card_expiry_days) == (frozenset(range(5)), (14, 3))
    session.refresh(case)
    assert case.policy_id == before.id
    deed = session.scalars(
        select(AuditEntry).where(AuditEntry.subject == f"dunning_policy:{row.id}")
    ).one()
    assert deed.action == "dunning_policy.put_in_force"
    history = owner.get("/admin/dunning-policy/").text
    assert re.findall(r">Version (\d+)<", history) == [str(row.id), str(before.id)]
    assert "owner@example.org" in history
    page = owner.get(answer.location).text
    assert "Needs the customer, Never" in page
    assert "The subscription is paused" in page
    assert 'value="07:30"' in owner.get(f"{NEW}?version={row.id}").text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mailings-1-day": "5"}, "Two mails are set for the same day"),
        ({"mailings-0-day": "6"}, "A mail must go before the day on which it ends"),
        ({"wall_day": "7"}, "The wall can&#39;t come after the end"),
        ({"weekdays": []}, "Mails need at least one weekday"),
        ({"mailings-0-day": "61"}, "Look at the marked fields"),
        ({"mailings-0-mail": "nonsense"}, "Look at the marked fields"),
        ({"quiet_from": "25:00"}, "Look at the marked fields"),
        ({"card_expiry_days": "soon"}, "The policy can&#39;t be read"),
    ],
)
def test_what_contradicts_itself_is_refused_in_words(
    owner: FlaskClient, session: Session, wrong: dict[str, Any], words: str
) -> None:
    answer = owner.post(NEW, data=typed(**wrong))
    assert (answer.status_code, words in errors_of(answer.text)) == (422, True)
    assert 'value="Shorter"' in answer.text
    assert session.scalar(select(func.count()).select_from(DunningPolicy)) == 0


@pytest.mark.usefixtures("monday")
def test_a_version_is_tried_on_the_past_before_it_holds(
    owner: FlaskClient, enter: Enter, session: Session
) -> None:
    case = make_case(days=10, state=CaseState.RECOVERED)
    make_step(case, "mail:0")
    make_step(case, "mail:3")
    versions = session.scalar(select(func.count()).select_from(DunningPolicy))
    page = owner.post(NEW, data=typed(also="simulate")).text
    retold = page.partition('id="retold"')[2]
    figures = re.findall(r'class="value">([^<]+)</span><span class="note">([^<]+)', retold)
    assert figures == [
        ("1", "0 left alone"),
        ("1", "2 were sent"),
        ("1", "0 came"),
        ("1", "0 came"),
    ]
    assert "Mail, day 5" in retold
    assert session.scalar(select(func.count()).select_from(DunningPolicy)) == versions
    again = enter(Role.VIEWER).get(f"/admin/dunning-policy/simulate/?id={case.policy_id}").text
    assert "2 were sent" in again
    assert "/admin/cases/details" not in again
    backwards = {"since": "2030-02-01", "until": "2030-01-01"}
    refused = owner.get(f"/admin/dunning-policy/simulate/?id={case.policy_id}", query_string=None)
    assert refused.status_code == 200
    page = owner.post(NEW, data=typed(also="simulate", **backwards)).text
    assert "the earlier one first" in errors_of(page)


def test_each_mail_is_shown_in_a_frame_of_its_own(owner: FlaskClient, session: Session) -> None:
    page = owner.get(NEW).text
    names = re.findall(r'<option value="([a-z_]+)">', page.partition('id="look-mail"')[2])
    for name in names[:6]:
        answer = owner.get(f"/admin/dunning-policy/preview/?mail={name}")
        assert (name, answer.status_code) == (name, 200)
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "<script" not in answer.text
    plain = owner.get("/admin/dunning-policy/preview/?mail=failed&kind=never&look_as=text").text
    assert "$19.00" in plain
    assert owner.get("/admin/dunning-policy/preview/?mail=../base").status_code == 404
