"""A subscriber at Stripe's stand-in, as the rooms of billing meet one."""

import pytest

from tests.factories.billing import make_plan
from tests.factories.sales import StripeDesk
from tests.factories.subscribing import Subscriber, make_subscriber, put_at_stripe
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core.db import db


@pytest.fixture
def alice(stripe_desk: StripeDesk) -> Subscriber:
    """Alice, who subscribes to Pro by the month and has paid for it."""
    alice = make_subscriber(stripe_desk, put_at_stripe(stripe_desk, make_plan()))
    sync_now(Ref(RefKind.SUBSCRIPTION, alice.subscribe()))
    db.session.commit()
    return alice


def deeds_on(page: str) -> list[str]:
    """Return the titles of the deeds a detail page leads to."""
    panel = page.partition("<h2>What can be done</h2>")[2].partition("</section>")[0]
    return [part.partition(" …")[0].rpartition(">")[2] for part in panel.split("</a>")[:-1]]
