"""Audiences by subscription: who has one, tries one, owes for one and left one."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.campaigns.audiences.conftest import ago, say
from tests.campaigns.audiences.test_conditions import found_by, group
from tests.factories.billing import (
    make_customer,
    make_plan,
    make_subscription,
    make_unpaid_invoice,
    open_case,
)
from tests.factories.people import make_user
from webapp.accounts.models import Prospect, ProspectSource
from webapp.billing.models import BillingCustomer, CaseState, Plan, SubscriptionStatus
from webapp.campaigns.errors import InvalidRules
from webapp.campaigns.services.audiences import create_audience, describe, read_rules, write_rules
from webapp.campaigns.services.audiences.fields import list_questions
from webapp.core.audit import SYSTEM

MEMBERS = frozenset(
    ("alice", "bob", "charlie", "dora", "erin", "fred", "gina", "henry", "ida", "jane")
)
EVERYBODY = MEMBERS | {"kurt"}
SUBSCRIBING = {"alice", "bob", "charlie", "erin", "henry"}
OWING = {"charlie", "gina", "henry"}
Status = SubscriptionStatus

# field, op, value, days, whom it finds, in words
TABLE: Sequence[tuple[str, str, list[str] | None, int | None, frozenset[str] | set[str], str]] = (
    ("subscribed", "is", None, None, SUBSCRIBING, "subscribes to any plan"),
    ("subscribed", "is", [], None, SUBSCRIBING, "subscribes to any plan"),
    ("subscribed", "is", ["pro"], None, {"alice", "charlie", "erin"}, "subscribes to Pro"),
    ("subscribed", "is", ["team"], None, {"bob"}, "subscribes to Team"),
    ("subscribed", "is", ["pro", "team"], None, SUBSCRIBING - {"henry"}, "to Pro or Team"),
    ("subscribed", "is", ["gone"], None, set(), "subscribes to gone"),
    ("subscribed", "is_not", None, None, EVERYBODY - SUBSCRIBING, "doesn't subscribe to any plan"),
    ("subscribed", "is_not", ["team"], None, EVERYBODY - {"bob"}, "doesn't subscribe to Team"),
    ("trial", "is", None, None, {"bob"}, "has a trial running"),
    ("trial", "is_not", None, None, EVERYBODY - {"bob"}, "has no trial running"),
    ("owes", "is", None, None, OWING, "owes for a subscription"),
    ("owes", "is_not", None, None, EVERYBODY - OWING, "owes nothing for a subscription"),
    ("left", "did", None, None, {"dora", "gina"}, "stopped subscribing"),
    ("left", "did", None, 30, {"dora"}, "stopped subscribing in the last 30 days"),
    ("left", "did_not", None, 30, EVERYBODY - {"dora"}, "didn't stop subscribing in the last 30"),
)


def join(name: str, *, verified: bool = True) -> BillingCustomer:
    user = make_user(f"{name}@example.com", password=None, verified=verified)
    return make_customer(user)


@pytest.fixture
def club(session: Session) -> Plan:
    """Make members of every kind.

    alice    has Pro
    bob      tries Team
    charlie  has Pro and is past due
    dora     said 40 days ago that she leaves Pro, and has 10 days ago; a double still runs out
    erin     left Team 5 days ago and came back, at a price of Pro's that was made in Stripe
    fred     has only what was bought twice, with its invoice unpaid
    gina     left 200 days ago, and an invoice is chased
    henry    is unpaid, at a price of no plan of ours; the case was lost
    ida      never paid the first invoice
    jane     never had anything
    kurt     is a prospect; somebody who never proved it registered with this address, and pays
    """
    pro, team = make_plan("pro"), make_plan("team")
    who = {name: join(name) for name in sorted(MEMBERS)}
    make_subscription(who["alice"], pro)
    make_subscription(who["bob"], team, status=Status.TRIALING)
    make_subscription(who["charlie"], pro, status=Status.PAST_DUE)
    make_subscription(
        who["dora"], pro, status=Status.CANCELED, canceled_at=ago(40), ended_at=ago(10)
    )
    make_subscription(who["dora"], team, status=Status.TRIALING, duplicate=True)
    make_subscription(who["erin"], team, status=Status.CANCELED, ended_at=ago(5))
    make_subscription(who["erin"], stripe_product_id=pro.stripe_product_id)
    double = make_subscription(who["fred"], pro, status=Status.PAST_DUE, duplicate=True)
    open_case(make_unpaid_invoice(who["fred"], double))
    left = make_subscription(
        who["gina"], pro, status=Status.CANCELED, ended_at=None, canceled_at=ago(200)
    )
    open_case(make_unpaid_invoice(who["gina"], left))
    unpaid = make_subscription(who["henry"], status=Status.UNPAID)
    open_case(make_unpaid_invoice(who["henry"], unpaid), state=CaseState.LOST)
    make_subscription(who["ida"], pro, status=Status.INCOMPLETE_EXPIRED, ended_at=ago(1))
    make_subscription(join("kurt", verified=False), pro)
    session.add(Prospect(email="kurt@example.com", source=ProspectSource.NEWSLETTER))
    for name in EVERYBODY:
        say(session, name, True)
    return pro


def test_each_question_finds_whom_it_should(session: Session, club: Plan) -> None:
    for field, op, value, days, expected, words in TABLE:
        rules = group({"field": field, "op": op, "value": value, "days": days})
        assert found_by(session, rules) == expected, (field, op, value, days)
        assert words in describe(rules), describe(rules)
        assert read_rules(write_rules(rules)) == rules
    ours = [each for each in list_questions() if each.theme == "Subscriptions"]
    assert {row[:2] for row in TABLE} == {(each.field, op.name) for each in ours for op in each.ops}
    paying = [{"field": "subscribed", "op": "is"}, {"field": "owes", "op": "is"}]
    assert found_by(session, group(*paying, match="any")) == SUBSCRIBING | OWING
    assert found_by(session, group(*paying, match="none")) == EVERYBODY - SUBSCRIBING - OWING


def test_who_is_being_forgotten_is_nobody_whatever_they_pay(session: Session, club: Plan) -> None:
    alice = session.query(BillingCustomer).filter_by(email="alice@example.com").one()
    rules = group({"field": "subscribed", "op": "is", "value": ["pro"]})
    alice.user_id = None
    session.flush()
    assert found_by(session, rules) == {"charlie", "erin"}


def test_what_makes_no_sense_is_a_sentence(session: Session, club: Plan) -> None:
    def asked(field: str, op: str, **more: Any) -> dict[str, Any]:
        return {"of": [{"field": field, "op": op, **more}]}

    for raw, words in (
        (asked("subscribed", "is", value=[club.id]), "needs the names of plans"),
        (asked("subscribed", "is", value=3), "needs the names of plans"),
        (asked("subscribed", "is", days=3), "can't be narrowed"),
        (asked("trial", "is", value=["pro"]), "takes no value"),
        (asked("left", "did", value=30), "takes no value"),
    ):
        with pytest.raises(InvalidRules, match=words):
            read_rules(raw)
    with pytest.raises(InvalidRules, match="there is nothing named elm"):
        create_audience("Elm", asked("subscribed", "is", value=["pro", "elm"]), SYSTEM)
    create_audience("Pro", asked("subscribed", "is", value=["pro"]), SYSTEM)
