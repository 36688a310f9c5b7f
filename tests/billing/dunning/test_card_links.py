"""From a refused renewal to a paid one: the link in the mail, the banner, the wall, a new card."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests.factories.billing import make_plan
from tests.factories.people import browser_of
from tests.factories.sales import StripeDesk, deliver
from tests.factories.subscribing import EMPTY_CARD, Subscriber, make_subscriber, put_at_stripe
from webapp.billing.models import (
    BillingCheckout,
    CardLink,
    CaseState,
    Channel,
    DunningCase,
    SubscriptionStatus,
)
from webapp.billing.services import dunning
from webapp.billing.services.dunning import links
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.models import Mail, MailState

SESSION = re.compile(r"cs_[a-zA-Z0-9_]+")


@dataclass
class Debtor:
    """Alice, whose renewal was refused, and what she finds in her mailbox."""

    alice: Subscriber
    client: FlaskClient

    @property
    def status(self) -> SubscriptionStatus:
        return self.alice.row.status

    @property
    def owes(self) -> bool:
        entitlement = self.alice.entitlement
        return entitlement is not None and entitlement.owing

    @property
    def case(self) -> DunningCase:
        return db.session.scalars(
            select(DunningCase).execution_options(populate_existing=True)
        ).one()

    def link(self) -> str:
        """Return the path of the link in the newest mail."""
        text = db.session.scalars(select(Mail.text).order_by(Mail.id.desc()).limit(1)).one()
        found = re.search(r"http://localhost(/card/\S+)", text)
        assert found, text
        return found.group(1)

    def open(self, path: str, **data: str) -> str:
        """Press the button; returns the id of the session it leads to."""
        answer = self.client.post(path, data=data)
        found = SESSION.search(answer.location or "")
        assert found, self.client.get(path).text
        return found.group()

    def leave_card(self, session_id: str, **card: str) -> dict[str, Any]:
        return self.alice.desk.control(f"sessions/{session_id}/pay", **card)


def later(desk: StripeDesk) -> datetime:
    found = requests.get(f"{desk.url}/_sandbox/health", timeout=60).json()
    return datetime.fromtimestamp(int(found["now"]), UTC)


@pytest.fixture
def debtor(app: Flask, client: FlaskClient, stripe_desk: StripeDesk) -> Iterator[Debtor]:
    """Alice, once the first mail about her refused renewal was written, at Stripe's own time."""
    alice = make_subscriber(stripe_desk, put_at_stripe(stripe_desk, make_plan()))
    subscription = alice.subscribe()
    alice.give_card(EMPTY_CARD)
    renewal = stripe_desk.client.v1.subscriptions.retrieve(subscription)["items"].data[0]
    # Two days on, however long this month is: a later mail would be due with the first.
    two_days_on = renewal.current_period_end + 2 * 86_400 - int(later(stripe_desk).timestamp())
    stripe_desk.control("clock", advance=two_days_on)
    with clock.frozen(later(stripe_desk)):
        sync_now(Ref(RefKind.SUBSCRIPTION, subscription), *_invoices(alice))
        db.session.commit()
        told = Debtor(alice, client)
        with clock.frozen(told.case.opened_at + timedelta(days=1)):
            dunning.tick()
            db.session.commit()
        yield told


def _invoices(alice: Subscriber) -> list[Ref]:
    found = alice.desk.client.v1.invoices.list({"customer": alice.stripe_id}).data
    return [Ref(RefKind.INVOICE, each.id) for each in found]


def test_one_tap_from_the_mail_pays_and_the_link_is_used_up(debtor: Debtor) -> None:
    alice, case, path = debtor.alice, debtor.case, debtor.link()
    assert (case.state, case.decline_code) == (CaseState.OPEN, "generic_decline")
    assert (debtor.status.value, debtor.owes) == ("past_due", True)
    for _ in range(2):  # whoever looks, and however often, changes nothing
        page = debtor.client.get(path)
        assert "$19.00" in page.text
        assert page.headers["Referrer-Policy"] == "same-origin"
    assert db.session.scalars(select(CardLink.opened_at)).all() == [None]
    session_id = debtor.open(path)
    assert debtor.open(path) == session_id
    assert db.session.query(BillingCheckout).count() == 1
    done = debtor.leave_card(session_id)["success_url"]
    page = debtor.client.get(done)
    assert "Thank you, it is paid" in page.text, page.text
    assert "Visa 4242" in page.text
    case = debtor.case
    assert (case.state, case.channel, case.step_key) == (
        CaseState.RECOVERED,
        Channel.MAIL,
        "mail:0",
    )
    assert (debtor.status.value, debtor.owes) == ("active", False)
    assert alice.row.default_payment_method == alice.customer.payment_method_id
    assert db.session.scalars(select(Mail.state).where(Mail.kind == "dunning_failed")).all() == [
        MailState.WITHDRAWN
    ]
    over = debtor.client.get(path)
    assert (over.status_code, "opens nothing any more" in over.text) == (410, True)
    assert debtor.client.post(path).status_code == 410


def test_the_webhook_alone_does_the_same(debtor: Debtor, run_jobs: Any) -> None:
    session_id = debtor.open(debtor.link())
    debtor.leave_card(session_id)
    [event] = debtor.alice.desk.events("checkout.session.completed")
    with clock.frozen(datetime.now(UTC)):
        assert deliver(debtor.client, event).status_code == 200
    sync_now(Ref(RefKind.SESSION, session_id))
    db.session.commit()
    with clock.frozen(clock.now() + timedelta(hours=1)):
        run_jobs()
    assert debtor.case.state is CaseState.RECOVERED
    assert debtor.client.get(f"/card/done?session_id={session_id}").status_code == 200
    assert len(links.list_requests(session_id)) == 2


def test_a_card_that_is_refused_too_can_be_replaced_at_once(debtor: Debtor) -> None:
    path = debtor.link()
    first = debtor.open(path)
    page = debtor.client.get(debtor.leave_card(first, card=EMPTY_CARD)["success_url"])
    assert "That card was refused too" in page.text
    assert debtor.case.state is CaseState.OPEN
    assert debtor.client.post(path).status_code == 410
    second = debtor.open("/card/done", session_id=first)
    assert second != first
    page = debtor.client.get(debtor.leave_card(second)["success_url"])
    assert "Thank you, it is paid" in page.text
    assert debtor.case.channel is Channel.MAIL
    with clock.frozen(clock.now() + timedelta(hours=2)):
        assert debtor.client.post("/card/done", data={"session_id": second}).status_code == 410


def test_a_member_pays_from_the_banner_and_through_the_wall(app: Flask, debtor: Debtor) -> None:
    user = debtor.alice.user
    debtor.client = browser_of(app, user)
    page = debtor.client.get("/").text
    assert "A payment of yours didn’t go through." in page
    assert "Update the card" in page
    assert debtor.client.get("/billing/wall").location == "/billing"
    with clock.frozen(debtor.case.opened_at + timedelta(days=7)):
        dunning.tick()
        db.session.commit()
    wall = debtor.client.get("/billing/wall")
    assert (wall.status_code, "A payment is missing" in wall.text) == (200, True)
    assert debtor.client.get("/pro").location.endswith("/billing/wall")
    assert "$19.00" in debtor.client.get("/billing/card").text
    session_id = debtor.open("/billing/card", **{"from": "wall"})
    done = debtor.client.get(debtor.leave_card(session_id)["success_url"])
    assert "To your subscription" in done.text
    assert debtor.case.channel is Channel.WALL
    assert debtor.client.get("/billing/wall").location == "/billing"
    assert debtor.client.get("/pro").status_code == 200
    assert "didn’t go through" not in debtor.client.get("/").text


def test_where_the_bank_wants_consent_the_way_leads_to_the_invoice(debtor: Debtor) -> None:
    statement = update(DunningCase).values(decline_kind="authentication")
    db.session.execute(statement)
    db.session.commit()
    path = debtor.link()
    page = debtor.client.get(path).text
    assert "Confirm the payment" in page
    assert "Use another card" in page
    answer = debtor.client.post(path, data={"way": "bank"})
    assert answer.location == debtor.case.invoice.hosted_invoice_url
    opened, used = db.session.execute(select(CardLink.opened_at, CardLink.used_at)).one()
    assert (opened is not None, used) == (True, None)
    assert debtor.open(path)


def test_links_end_and_whoever_turns_back_finds_the_way(app: Flask, debtor: Debtor) -> None:
    path = debtor.link()
    debtor.open(path)
    assert debtor.client.get("/card/left").location == path
    assert app.test_client().get("/card/left").location == "/billing/card"
    for wrong in ("/card/nothing", path[:-2], path.swapcase().replace("/CARD", "/card")):
        assert debtor.client.get(wrong).status_code == 404, wrong
    assert debtor.client.get("/card/done?session_id=cs_test_nothing1").status_code == 404
    session_id = db.session.scalars(select(BillingCheckout.stripe_session_id)).one()
    assert debtor.client.get(f"/card/done?session_id={session_id}").location == "/card/left"
    with clock.frozen(clock.now() + timedelta(days=15)):
        assert debtor.client.get(path).status_code == 410


def test_without_an_answer_of_stripes_nothing_is_lost(debtor: Debtor, run_jobs: Any) -> None:
    desk, path = debtor.alice.desk, debtor.link()
    desk.control("fail", route="POST /v1/checkout/sessions", status=500, times=9)
    answer = debtor.client.post(path)
    assert answer.location == path
    assert "please try again" in debtor.client.get(path).text
    requests.delete(f"{desk.url}/_sandbox/fail", timeout=60)
    session_id = debtor.open(path)
    done = debtor.leave_card(session_id)["success_url"]
    invoice = debtor.case.invoice.stripe_id
    desk.control("fail", route=f"POST /v1/invoices/{invoice}/pay", status=500, times=9)
    assert "Almost done" in debtor.client.get(done).text
    requests.delete(f"{desk.url}/_sandbox/fail", timeout=60)
    assert "Thank you, it is paid" in debtor.client.get(done).text
    assert debtor.case.state is CaseState.RECOVERED
