"""Changes asked of Stripe: written down first, done once, whoever dies in between."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import select

from tests.factories.billing import make_plan
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import EMPTY_CARD, Subscriber, make_subscriber, put_at_stripe
from webapp.billing.models import (
    BillingOperation,
    OperationKind,
    OperationState,
    SubscriptionStatus,
)
from webapp.billing.services.carrying_out import carry_out
from webapp.billing.services.operations import ask
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.payments import gateway
from webapp.payments.errors import StripeUnavailable


@pytest.fixture
def alice(stripe_desk: StripeDesk) -> Subscriber:
    alice = make_subscriber(stripe_desk, put_at_stripe(stripe_desk, make_plan()))
    sync_now(Ref(RefKind.SUBSCRIPTION, alice.subscribe()))
    db.session.commit()
    return alice


def asked_of(alice: Subscriber, kind: OperationKind, **params: Any) -> BillingOperation:
    operation = ask(kind, alice.customer, alice.row.stripe_id, params, actor=SYSTEM)
    db.session.commit()
    return operation


def at_stripe(alice: Subscriber) -> Any:
    return alice.desk.client.v1.subscriptions.retrieve(alice.row.stripe_id)


def test_it_is_done_at_stripe_and_seen_here_at_once(alice: Subscriber) -> None:
    operation = asked_of(alice, OperationKind.CANCEL_AT_PERIOD_END, feedback="unused")
    assert carry_out(operation.id) is OperationState.DONE
    assert at_stripe(alice).cancel_at_period_end and alice.row.cancel_at_period_end
    assert at_stripe(alice).cancellation_details.feedback == "unused"
    assert carry_out(asked_of(alice, OperationKind.RESUME).id) is OperationState.DONE
    assert not alice.row.cancel_at_period_end


def test_a_day_that_stripes_own_pages_set_is_taken_back_as_a_day(alice: Subscriber) -> None:
    url = alice.desk.client.v1.billing_portal.sessions.create({"customer": alice.stripe_id}).url
    requests.post(f"{url}/cancel", data={"subscription": alice.row.stripe_id}, timeout=60)
    sync_now(Ref(RefKind.SUBSCRIPTION, alice.row.stripe_id))
    db.session.commit()
    row = alice.row
    assert (row.cancel_at_period_end, row.cancel_at) == (False, row.current_period_end)
    assert row.is_set_to_end
    for _again in range(2):
        assert carry_out(asked_of(alice, OperationKind.RESUME).id) is OperationState.DONE
        assert not alice.row.is_set_to_end
    assert at_stripe(alice).cancel_at is None


def test_the_same_key_is_the_same_request(alice: Subscriber) -> None:
    target = alice.row.stripe_id
    first = ask(OperationKind.CANCEL, alice.customer, target, {}, actor=SYSTEM, key="end:1")
    second = ask(OperationKind.CANCEL, alice.customer, target, {}, actor=SYSTEM, key="end:1")
    assert first.id == second.id


def test_without_an_answer_it_stays_requested_and_the_job_asks_again(
    alice: Subscriber, stripe_desk: StripeDesk, run_jobs: Callable[[], int]
) -> None:
    operation = asked_of(alice, OperationKind.CANCEL)
    stripe_desk.control(
        "fail", route=f"DELETE /v1/subscriptions/{alice.row.stripe_id}", status=500, times=9
    )
    with pytest.raises(StripeUnavailable):
        carry_out(operation.id)
    db.session.rollback()
    db.session.refresh(operation)
    assert operation.state is OperationState.REQUESTED
    requests.delete(f"{stripe_desk.url}/_sandbox/fail", timeout=60)
    assert carry_out(operation.id) is OperationState.DONE
    assert alice.row.ended_at is not None


def test_a_refusal_is_kept_with_stripes_sentence(alice: Subscriber) -> None:
    params = {"item": alice.row.item_id, "price": "price_nothing", "quantity": 1}
    operation = asked_of(alice, OperationKind.CHANGE_PLAN, **params)
    assert carry_out(operation.id) is OperationState.REFUSED
    assert "price_nothing" in str(operation.error)


def test_a_new_card_is_set_on_the_customer_and_on_the_subscription_itself(
    alice: Subscriber,
) -> None:
    dead = alice.give_card(EMPTY_CARD)
    own: Any = {"default_payment_method": dead}
    alice.desk.client.v1.subscriptions.update(alice.row.stripe_id, own)
    new = alice.give_card()
    operation = ask(
        OperationKind.SET_DEFAULT_CARD,
        alice.customer,
        alice.stripe_id,
        {"payment_method": new},
        actor=SYSTEM,
    )
    db.session.commit()
    assert carry_out(operation.id) is OperationState.DONE
    assert at_stripe(alice).default_payment_method == new == alice.row.default_payment_method
    assert alice.customer.payment_method_id == new
    assert alice.customer.card_last4 == "4242"


def test_a_pause_gives_what_was_paid_for_and_then_rests(alice: Subscriber) -> None:
    carry_out(asked_of(alice, OperationKind.PAUSE).id)
    assert alice.row.annual_amount == 0
    assert alice.is_entitled()
    alice.desk.control("clock", advance=32 * 86_400)
    sync_now(Ref(RefKind.SUBSCRIPTION, alice.row.stripe_id))
    db.session.commit()
    assert not alice.is_entitled()
    carry_out(asked_of(alice, OperationKind.UNPAUSE, from_now=True).id)
    assert alice.is_entitled()
    assert alice.row.annual_amount > 0


def test_a_discount_is_seen_in_what_a_year_is_worth(alice: Subscriber) -> None:
    whole = alice.row.annual_amount
    operation = asked_of(alice, OperationKind.DISCOUNT, percent=30, months=3, name="Stay")
    assert carry_out(operation.id) is OperationState.DONE
    assert alice.row.annual_amount == round(whole * 0.7)


def test_an_operation_leaves_one_promise(alice: Subscriber) -> None:
    operation = asked_of(alice, OperationKind.CANCEL)
    found = db.session.scalars(select(BillingOperation)).all()
    assert found == [operation]


def fail_to_renew(alice: Subscriber) -> str:
    """Let the next renewal be refused, and return its open invoice."""
    own: Any = {"default_payment_method": alice.give_card(EMPTY_CARD)}
    alice.desk.client.v1.subscriptions.update(alice.row.stripe_id, own)
    alice.desk.control("clock", advance=32 * 86_400)
    mine: Any = {"status": "open", "customer": alice.stripe_id}
    [invoice] = alice.desk.client.v1.invoices.list(mine).data
    sync_now(Ref(RefKind.INVOICE, invoice.id))
    db.session.commit()
    return invoice.id


def asked_to_pay(alice: Subscriber, invoice: str) -> BillingOperation:
    params = {"payment_method": alice.give_card()}
    pay = ask(OperationKind.PAY_INVOICE, alice.customer, invoice, params, actor=SYSTEM)
    db.session.commit()
    return pay


def test_who_asked_to_pay_while_stripe_was_away_is_not_ended(alice: Subscriber) -> None:
    invoice = fail_to_renew(alice)
    end = asked_of(alice, OperationKind.CANCEL, while_open=invoice)
    pay = asked_to_pay(alice, invoice)
    assert carry_out(end.id) is OperationState.DONE
    db.session.refresh(pay)
    assert pay.state is OperationState.DONE
    assert (alice.row.status, at_stripe(alice).status) == (SubscriptionStatus.ACTIVE, "active")


def test_an_end_waits_for_a_bank_that_was_asked(
    alice: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = fail_to_renew(alice)
    end = asked_of(alice, OperationKind.CANCEL, while_open=invoice)
    told = gateway.get_invoice(invoice)
    under_way = replace(told, processing=True)
    monkeypatch.setattr(gateway, "get_invoice", lambda _id: under_way)
    with pytest.raises(StripeUnavailable):
        carry_out(end.id)
    assert at_stripe(alice).status == "past_due"
    monkeypatch.undo()
    assert carry_out(end.id) is OperationState.DONE
    assert at_stripe(alice).status == "canceled"


def test_a_charge_that_was_asked_for_long_ago_is_not_made(alice: Subscriber) -> None:
    invoice = fail_to_renew(alice)
    pay = asked_to_pay(alice, invoice)
    with clock.frozen(clock.now() + timedelta(hours=25)):
        assert carry_out(pay.id) is OperationState.REFUSED
    db.session.refresh(pay)
    assert "Nothing was charged" in str(pay.error)
    assert gateway.get_invoice(invoice).status == "open"
