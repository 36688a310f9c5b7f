"""Alice, whose card was refused on a Monday at noon, and what is told of her case."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.factories.billing import (
    NOON,
    make_customer,
    make_entitlement,
    make_plan,
    make_subscription,
    make_unpaid_invoice,
)
from tests.factories.people import make_user
from webapp.accounts.models import User
from webapp.billing.models import (
    BillingCustomer,
    DunningCase,
    DunningStep,
    Invoice,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.services import dunning
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import Mail, MailState

DAY = timedelta(days=1)


@dataclass
class Story:
    """Everything of Alice's that a case hangs on."""

    user: User
    customer: BillingCustomer
    subscription: Subscription
    invoice: Invoice

    @property
    def case(self) -> DunningCase:
        found = select(DunningCase).where(DunningCase.invoice_id == self.invoice.id)
        return db.session.scalars(found.execution_options(populate_existing=True)).one()

    def follow(self) -> DunningCase:
        """Hear of the invoice as it is now."""
        dunning.follow_invoice(self.invoice)
        db.session.commit()
        return self.case

    def look(self, at: datetime, *, mails_go: bool = True) -> None:
        """Let the clock look at ``at``, when all mails so far have gone out."""
        if mails_go:
            sent = update(Mail).where(Mail.state == MailState.PENDING)
            db.session.execute(sent.values(state=MailState.SENT))
        with clock.frozen(at):
            dunning.tick()
            db.session.commit()

    def steps(self) -> dict[str, str]:
        rows = db.session.execute(
            select(DunningStep.key, DunningStep.state)
            .where(DunningStep.case_id == self.case.id)
            .order_by(DunningStep.id)
        )
        return {key: state.value for key, state in rows}

    def mails(self) -> list[Mail]:
        mine = select(Mail).where(Mail.subject_ref == f"case:{self.case.id}").order_by(Mail.id)
        return list(db.session.scalars(mine.execution_options(populate_existing=True)))


MakeStory = Callable[..., Story]


@pytest.fixture
def make_story(app: Flask) -> MakeStory:
    def make(
        code: str | None = "insufficient_funds", *, at: datetime = NOON, name: str = "alice"
    ) -> Story:
        user = make_user(f"{name}@example.com")
        customer = make_customer(user)
        subscription = make_subscription(
            customer,
            make_plan(f"plan-{name}", name="Pro"),
            status=SubscriptionStatus.PAST_DUE,
            started_at=at - 30 * DAY,
        )
        make_entitlement(user, subscription)
        invoice = make_unpaid_invoice(customer, subscription, code, at=at)
        return Story(user, customer, subscription, invoice)

    return make


@pytest.fixture
def story(make_story: MakeStory) -> Story:
    """Alice's unpaid invoice, which we have heard of."""
    told = make_story()
    with clock.frozen(NOON):
        told.follow()
    return told
