"""Members with and without a subscription, each with a browser."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories.billing import make_plan
from tests.factories.people import browser_of
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import Subscriber, make_subscriber, put_at_stripe
from webapp.billing.models import BillingCheckout, Plan
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core.db import db


@pytest.fixture
def pro(stripe_desk: StripeDesk) -> Plan:
    plan = make_plan(features={"reports": "Reports"}, trial_days=14, position=2)
    return put_at_stripe(stripe_desk, plan)


@pytest.fixture
def team(stripe_desk: StripeDesk) -> Plan:
    plan = make_plan("team", monthly=4900, yearly=49000, position=3, limits={"projects": None})
    return put_at_stripe(stripe_desk, plan)


@pytest.fixture
def alice(stripe_desk: StripeDesk, pro: Plan) -> Subscriber:
    """A customer with a good card and no subscription yet."""
    return make_subscriber(stripe_desk, pro)


@pytest.fixture
def browser(app: Flask, client: FlaskClient, alice: Subscriber) -> FlaskClient:
    """Alice's browser; forms need no token here."""
    return browser_of(app, alice.user)


@pytest.fixture
def subscribed(alice: Subscriber) -> Subscriber:
    """Alice, with an active monthly subscription that we have heard of."""
    return know(alice, alice.subscribe())


def pay(desk: StripeDesk, checkout: BillingCheckout) -> None:
    """Fill Stripe's page in and press its button."""
    desk.control(f"sessions/{checkout.stripe_session_id}/pay", email="alice@example.com")


def know(subscriber: Subscriber, subscription_id: str) -> Subscriber:
    """Let us hear of what Stripe has."""
    sync_now(Ref(RefKind.SUBSCRIPTION, subscription_id))
    row = subscriber.row
    if row.latest_invoice:
        sync_now(Ref(RefKind.INVOICE, row.latest_invoice))
    db.session.commit()
    return subscriber
