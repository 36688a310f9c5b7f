"""Who subscribes may take everything along, and leave for good: at Stripe too."""

import json
import zipfile
from datetime import timedelta
from io import BytesIO
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from jobs.billing import sweep_events
from jobs.payments import drain_events
from jobs.privacy import erase_due
from tests.billing.pages.conftest import know
from tests.factories.billing import make_step, open_case
from tests.factories.lives import RunJobs
from tests.factories.subscribing import Subscriber
from webapp.accounts.models import Erasure
from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    Cancellation,
    CancelOffer,
    CancelOutcome,
    CancelReason,
    CaseState,
    Channel,
    Entitlement,
    Invoice,
    OperationKind,
    OperationState,
    PaymentAttempt,
    Subscription,
    SubscriptionPoint,
    SubscriptionStatus,
)
from webapp.billing.services.carrying_out import carry_out
from webapp.billing.services.dunning import links
from webapp.billing.services.operations import ask
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.payments.models import StripeEvent


def test_the_copy_of_ones_data_has_subscription_and_invoices(
    browser: FlaskClient, subscribed: Subscriber, run_jobs: RunJobs
) -> None:
    bill = db.session.scalars(select(Invoice)).one()
    case = open_case(bill, state=CaseState.RECOVERED)
    make_step(case, "mail:3")
    customer = subscribed.customer
    links.make(customer.id, Channel.MAIL, case_id=case.id)
    ask(OperationKind.RESUME, customer, subscribed.row.stripe_id, {}, actor=SYSTEM)
    db.session.commit()
    browser.post("/billing/cancel", data={"reason": "unused", "decision": "leave"})
    browser.post("/account/data/export")
    run_jobs()
    page = browser.get("/account/data").text
    link = page.partition('href="/export/')[2].partition('"')[0]
    files = zipfile.ZipFile(BytesIO(browser.get(f"/export/{link}").data))
    assert "cents of a dollar, whole yen" in files.read("README.txt").decode()
    [bought] = json.loads(files.read("subscriptions.json"))
    assert (bought["plan"], bought["status"]) == ("Pro", "active")
    [invoice] = json.loads(files.read("invoices.json"))
    assert (invoice["total"], invoice["status"]) == (1900, "paid")
    assert invoice["attempts"][0]["card_last4"] == "4242"
    assert "hosted_invoice_url" not in invoice
    [chasing] = invoice["chasing"]
    assert (chasing["state"], chasing["steps"][0]["key"]) == ("recovered", "mail:3")
    [payer] = json.loads(files.read("billing.json"))
    assert payer["email"] == "alice@example.com"
    told = {(each["kind"], each["actor"]) for each in payer["requests"]}
    assert told == {("resume", "us"), ("cancel_at_period_end", "you")}
    [link] = payer["card_links"]
    assert (link["channel"], link["used_at"], "token_hash" in link) == ("mail", None, False)


def test_closing_the_account_lets_the_subscription_end(
    browser: FlaskClient, subscribed: Subscriber, run_jobs: RunJobs
) -> None:
    browser.post("/account/data/close", data={"confirmation": "delete"})
    operation = db.session.scalars(select(BillingOperation)).one()
    operation.due_at = clock.now()
    db.session.commit()
    assert carry_out(operation.id) is OperationState.DONE
    assert subscribed.row.cancel_at_period_end is True


def change_their_mind(subscribed: Subscriber) -> None:
    """Leave with a word, stay after all and leave again without one; we hear of each."""
    words: Any
    for words in (
        {"cancel_at_period_end": True, "cancellation_details": {"comment": "It is me, Alice."}},
        {"cancel_at_period_end": False, "cancellation_details": {"comment": ""}},
    ):
        subscribed.desk.client.v1.subscriptions.update(subscribed.row.stripe_id, words)
    sweep_events()
    drain_events()


def test_erasing_ends_it_at_stripe_and_leaves_the_figures(
    client: FlaskClient, browser: FlaskClient, subscribed: Subscriber, run_jobs: RunJobs
) -> None:
    row = subscribed.row
    db.session.add(
        Cancellation(
            subscription_id=row.id,
            reason=CancelReason.OTHER,
            comment="It is me, Alice.",
            offer=CancelOffer.NONE,
            outcome=CancelOutcome.RESUMED,
        )
    )
    change_their_mind(subscribed)
    why = {"cancellation_details": {"reason": "cancellation_requested"}}
    written = db.session.scalars(select(SubscriptionPoint)).all()
    [point] = [each for each in written if why.items() <= each.previous.items()]
    # As it was kept once.
    point.previous = point.previous | {"cancellation_details": {"comment": "It is me, Alice."}}
    browser.post("/account/data/close", data={"confirmation": "delete"})
    user = subscribed.user
    db.session.refresh(user)
    user.erase_after = clock.now() - timedelta(seconds=1)
    db.session.commit()
    stripe_id, user_id = subscribed.stripe_id, user.id
    erase_due()
    run_jobs()
    db.session.commit()
    erase_due()
    db.session.expire_all()
    assert db.session.scalars(select(Erasure).where(Erasure.user_id == user_id)).one()
    assert subscribed.row.status is SubscriptionStatus.CANCELED
    customer = db.session.scalars(select(BillingCustomer)).one()
    assert (customer.user_id, customer.email, customer.card_last4) == (None, "", None)
    assert customer.deleted_at is not None
    invoice = db.session.scalars(select(Invoice)).first()
    assert invoice is not None
    assert (invoice.amount_paid, invoice.hosted_invoice_url) == (1900, None)
    attempt = db.session.scalars(select(PaymentAttempt)).first()
    assert attempt is not None
    assert (attempt.succeeded, attempt.card_last4) == (True, None)
    assert db.session.scalars(select(Cancellation)).one().comment == ""
    assert db.session.scalars(select(Entitlement)).all() == []
    at_stripe = subscribed.desk.client.v1.customers.retrieve(stripe_id).to_dict()
    assert at_stripe["deleted"] is True
    report = db.session.scalars(select(Erasure.report)).one()["tables"]
    assert report["billing_customer"]["anonymised"] == 1
    assert report["subscription"]["kept"] == 1
    points = db.session.scalars(select(SubscriptionPoint.previous)).all()
    assert points
    assert "It is me" not in str(points)
    # What Stripe tells afterwards brings nothing back.
    know(subscribed, subscribed.row.stripe_id)
    for again in db.session.scalars(select(Invoice.stripe_id)).all():
        sync_now(Ref(RefKind.INVOICE, again))
    sweep_events()
    drain_events()
    db.session.expire_all()
    assert (customer.email, customer.card_last4) == ("", None)
    assert (invoice.hosted_invoice_url, invoice.invoice_pdf) == (None, None)
    late = select(StripeEvent.payload).where(StripeEvent.type == "customer.deleted")
    assert db.session.scalars(late).one()["data"]["object"]["id"] == stripe_id
    told = db.session.scalars(select(StripeEvent.payload)).all()
    assert "alice@example.com" not in str(told)
    assert db.session.scalars(select(Subscription)).one().unit_amount == 1900
