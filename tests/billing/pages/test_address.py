"""Who logs in with another address is written to at that one, by Stripe too."""

from flask.testing import FlaskClient
from sqlalchemy import select

from tests.factories.lives import RunJobs
from tests.factories.subscribing import Subscriber
from webapp.accounts.models import EmailChange
from webapp.accounts.services.emails import Question, Side, ask_for_change, confirm
from webapp.core.audit import SYSTEM
from webapp.core.db import db

NEW = "alice@new.example.com"


def test_a_changed_address_reaches_the_customer_here_and_at_stripe(
    browser: FlaskClient, subscribed: Subscriber, run_jobs: RunJobs
) -> None:
    ask_for_change(subscribed.user, NEW, SYSTEM)
    change = db.session.scalars(select(EmailChange)).one()
    for side in Side:
        confirm(Question(change, side), SYSTEM, None)
    db.session.commit()
    run_jobs()
    db.session.expire_all()
    assert subscribed.customer.email == NEW
    at_stripe = subscribed.desk.client.v1.customers.retrieve(subscribed.stripe_id)
    assert at_stripe.email == NEW
