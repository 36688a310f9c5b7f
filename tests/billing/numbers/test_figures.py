"""The numbers of some months as the page, its lists, the JSON and the shell tell them."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.billing.numbers.lives import BEGAN, begin, tell_lives
from tests.factories.billing import (
    make_customer,
    make_invoice,
    make_plan,
    make_step,
    make_subscription,
    make_unpaid_invoice,
    open_case,
)
from tests.factories.people import browser_of, make_user
from webapp.accounts.models import Role
from webapp.billing.models import CaseState, Channel, DunningCase, SubscriptionStatus
from webapp.billing.services.dunning import acting
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.models import AuditEntry

DAYS = "since=2025-02-01&until=2025-02-28"
FEBRUARY = datetime(2025, 2, 3, 12, 0, tzinfo=UTC)
LATER = timedelta(days=20)


@pytest.fixture
def owner(app: Flask, client: FlaskClient) -> FlaskClient:
    return browser_of(app, make_user("owner@example.com", role=Role.OWNER))


@pytest.fixture
def history(session: Session) -> None:
    """Three customers of January; in February one left, one pays double, and one was new."""
    alice = make_customer(email="alice@example.com", stripe_customer_id="cus_1")
    plan = make_plan()
    ours = make_subscription(alice, plan, stripe_id="sub_1", stripe_price_id="price_month")
    february = timedelta(days=40)
    tell_lives(
        [
            begin(1),
            begin(2).step(february, quantity=2),
            begin(3).step(february, status="canceled", reason="cancellation_requested"),
            begin(4, BEGAN + february),
        ]
    )
    codes = ["expired_card", "insufficient_funds", "insufficient_funds", "insufficient_funds"]
    states = [CaseState.RECOVERED, CaseState.LOST, CaseState.OPEN, CaseState.RECOVERED]
    for number, (code, state) in enumerate(zip(codes, states, strict=True)):
        invoice = make_unpaid_invoice(alice, ours, code, at=FEBRUARY, total=1000 * (number + 1))
        won: dict[str, Any] = {"channel": Channel.MAIL, "step_key": "mail:3"} if not number else {}
        # The last one was paid in March: at the end of February it was still open.
        closed = FEBRUARY + LATER * (2 if number == 3 else 1)
        ended: dict[str, Any] = {} if state is CaseState.OPEN else {"closed_at": closed}
        open_case(invoice, decline_code=code, state=state, **won, **ended)
    excluded = make_unpaid_invoice(alice, ours, at=FEBRUARY, total=99_900)
    open_case(excluded, excluded_reason="too small")
    for number in range(3):
        begun: dict[str, Any] = {"trial_start": FEBRUARY, "trial_end": FEBRUARY + timedelta(days=7)}
        gone: dict[str, Any] = {"ended_at": FEBRUARY + LATER, "status": SubscriptionStatus.CANCELED}
        trial = make_subscription(make_customer(), plan, **begun, **(gone if number == 2 else {}))
        if number == 0:
            make_invoice(trial.customer, trial, issued_at=FEBRUARY + timedelta(days=8))
    session.commit()


def test_the_figures_of_a_past_month_are_what_they_were(owner: FlaskClient, history: None) -> None:
    told = owner.get(f"/admin/numbers/figures.json?{DAYS}").json
    assert told is not None
    assert (told["mrr_before"], told["mrr"], told["customers"]) == (5700, 7600, 3)
    assert told["movements"] == {
        "new": {"count": 1, "mrr": 1900},
        "reactivation": {"count": 0, "mrr": 0},
        "expansion": {"count": 1, "mrr": 1900},
        "contraction": {"count": 0, "mrr": 0},
        "voluntary": {"count": 1, "mrr": -1900},
        "involuntary": {"count": 0, "mrr": 0},
    }
    assert round(told["churn"], 4) == round(told["churn_voluntary"], 4) == 0.3333
    assert (told["churn_involuntary"], told["mrr_loss_net"]) == (0, 0)
    assert (told["arpa"], told["lifetime_value"]) == (2533, 6991)
    assert told["at_risk"] == {"cases": 2, "amount": 7000, "walled": 0}
    assert told["recovery"] == {
        "cases": 4,
        "amount": 10000,
        "recovered": 1,
        "recovered_amount": 1000,
        "rate": 0.5,
        "amount_rate": 1000 / 3000,
    }
    assert told["trials"] == {"begun": 3, "converted": 1, "running": 1, "lost": 1, "rate": 0.5}
    assert told["months"][-2:] == [
        {"month": "2025-01", "mrr": 5700},
        {"month": "2025-02", "mrr": 7600},
    ]
    # A day and no first one: thirty days with it.
    january = owner.get("/admin/numbers/figures.json?at=2025-01-31").json
    assert january is not None
    assert january["since"] == "2025-01-02"


def test_every_figure_opens_to_rows_that_come_to_it(
    owner: FlaskClient, history: None, session: Session
) -> None:
    page = owner.get(f"/admin/numbers/?{DAYS}").text
    assert "$76.00" in page
    assert page.count("<svg") > 20
    links = {link.split("of=")[1].split("&")[0]: link for link in _links(page)}
    assert len(links) > 7
    for link in links.values():
        assert owner.get(link).status_code == 200, link
    ratios = {title: _leads_to(page, title) for title in ("Per customer", "Lifetime value")}
    assert all("of=paying" in link for link in ratios.values()), ratios
    for query in (
        f"of=before&{DAYS}",
        f"of=lost&{DAYS}",
        f"of=lost-net&{DAYS}",
        # The churn of a month, those of a kind that go on, and what a cohort pays at the end.
        "of=churn&since=2025-02-01&until=2025-02-28",
        f"of=cases&{DAYS}&state=open&code=insufficient_funds",
        f"of=cohort&{DAYS}&month=2025-01",
    ):
        assert _asking(query) in [_asking(link.split("?")[1]) for link in _links(page)], query
    rows = owner.get(f"/admin/numbers/rows/?of=paying&{DAYS}").text
    assert "alice@example.com" in rows
    assert "sub_3" not in rows
    for name, sums in {
        "paying": 7600,
        "before": 5700,
        "lost": -1900,
        "lost-net": 0,
        "new": 1900,
        "movements": 1900,
        "churn": -1900,
        "risk": 7000,
        "cases": 10000,
        "cases&state=recovered&channel=mail": 1000,
        "cases&kind=needs_customer": 1000,
        "cases&code=insufficient_funds&state=open": 7000,
        "cases&month=2025-02": 10000,
        "cohort&month=2025-01": 5700,
    }.items():
        assert _sum(owner.get(f"/admin/numbers/rows.csv?of={name}&{DAYS}").text) == sums, name
    assert "price" not in owner.get(f"/admin/numbers/rows/?of=trials&state=lost&{DAYS}").text
    exports = select(AuditEntry).where(AuditEntry.action == "numbers.exported")
    assert len(session.scalars(exports).all()) == 14


def test_a_page_past_the_end_is_the_last_one(owner: FlaskClient, session: Session) -> None:
    tell_lives([begin(number) for number in range(51)])
    path = "/admin/numbers/rows/?of=paying&at=2025-01-31&page="
    for number in (2, 3, 9_999):
        page = owner.get(f"{path}{number}").text
        assert (number, page.count("<td>sub_"), '<span class="hint">51</span>' in page) == (
            number,
            1,
            True,
        )


def test_what_staff_leave_alone_and_take_up_again_changes_no_day_before(
    owner: FlaskClient, history: None, session: Session
) -> None:
    case = session.scalars(
        select(DunningCase).where(
            DunningCase.state == CaseState.OPEN, DunningCase.excluded_reason.is_(None)
        )
    ).one()
    make_step(case, "wall:7")
    case.walled_at = FEBRUARY + timedelta(days=7)
    session.commit()
    march = {"04": 1, "10": 0, "15": 0, "20": 1, "30": 0}

    def told(day: str) -> tuple[dict[str, int], dict[str, int]]:
        answer = owner.get(f"/admin/numbers/figures.json?since=2025-02-01&until={day}").json
        assert answer is not None
        return answer["at_risk"], answer["recovery"]

    was = told("2025-02-28")
    assert was[0] == {"cases": 2, "amount": 7000, "walled": 1}
    for number, act in enumerate((acting.exclude, acting.include, acting.exclude)):
        with clock.frozen(datetime(2025, 3, 10 + 10 * number, 12, tzinfo=UTC)):
            if act is acting.exclude:
                acting.exclude(case.id, "Pays by transfer", OPERATOR)
            else:
                acting.include(case.id, OPERATOR)
        session.commit()
        assert told("2025-02-28") == was
    for day, open_ in march.items():
        at_risk, recovery = told(f"2025-03-{day}")
        # Another one is open until it is paid in the middle of March.
        also = 4000 if day < "15" else 0
        assert (day, at_risk["amount"], recovery["cases"]) == (day, 3000 * open_ + also, 3 + open_)
    rows = owner.get("/admin/numbers/rows.csv?of=risk&at=2025-02-28").text
    assert _sum(rows) == 7000


@pytest.mark.parametrize(
    "address",
    ["rows/?of=nothing", "rows/?of=cohort", "rows/?of=cases&kind=x", "rows/?of=cohort&month=x"],
)
def test_an_address_of_no_list_leads_nowhere(owner: FlaskClient, address: str) -> None:
    assert owner.get(f"/admin/numbers/{address}").status_code == 404


def test_days_that_can_not_be_are_those_that_can(owner: FlaskClient) -> None:
    tomorrow = (clock.now() + timedelta(days=1)).date()
    told = owner.get(f"/admin/numbers/figures.json?since={tomorrow}&until={tomorrow}&currency=x")
    assert told.json is not None
    today = clock.now().date().isoformat()
    assert (told.json["since"], told.json["until"], told.json["currency"]) == (today, today, "usd")
    assert owner.get("/admin/numbers/?since=never&page=-1").status_code == 200
    assert owner.get("/admin/numbers/rows/?of=paying&page=99999999").status_code == 200


def test_who_may_not_know_people_sees_figures_and_no_addresses(
    app: Flask, client: FlaskClient, history: None
) -> None:
    viewer = browser_of(app, make_user("viewer@example.com", role=Role.VIEWER))
    rows = viewer.get(f"/admin/numbers/rows/?of=paying&{DAYS}").text
    assert "sub_1" in rows
    assert "alice@" not in rows + viewer.get(f"/admin/numbers/rows.csv?of=paying&{DAYS}").text
    customer = browser_of(app, make_user("bob@example.com"))
    assert customer.get("/admin/numbers/").status_code in (403, 404)


def test_the_shell_prints_the_figures_of_a_day(app: Flask, history: None) -> None:
    run = app.test_cli_runner().invoke
    told = run(args=["numbers", "--at", "2025-02-28", "--since", "2025-02-01"])
    assert told.exit_code == 0, told.output
    assert "MRR                         $76.00  (3 customers)" in told.output
    found = json.loads(run(args=["numbers", "--at", "2025-01-31", "--json"]).output)
    assert (found["mrr"], found["until"]) == (5700, "2025-01-31")
    assert run(args=["numbers", "--at", "2025-01-31", "--since", "2025-02-01"]).exit_code == 2


def _links(page: str) -> list[str]:
    """Return the addresses of lists that a page leads to."""
    links = [piece.split('"')[0].replace("&amp;", "&") for piece in page.split('href="')[1:]]
    return [link for link in links if "/numbers/rows/" in link]


def _asking(query: str) -> dict[str, str]:
    return {"currency": "usd"} | dict(parse_qsl(query))


def _leads_to(page: str, title: str) -> str:
    """Return the address that a figure opens to."""
    return page.split(f'<span class="hint">{title}</span>')[0].rpartition('href="')[2].split('"')[0]


def _sum(text: str) -> int:
    """Return what the rows of a file come to, in minor units."""
    rows = list(csv.DictReader(io.StringIO(text)))
    column = next(name for name in ("change", "amount", "mrr") if name in rows[0])
    return round(sum(float(row[column]) for row in rows) * 100)
