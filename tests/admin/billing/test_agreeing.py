"""What Stripe said and what we made of it: the event log, the differences, and the settings."""

import re
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting
from tests.admin.test_engine_room import add_event
from tests.factories.billing import make_customer, make_invoice, make_subscription
from tests.factories.subscribing import Subscriber
from webapp.accounts.models import Role
from webapp.billing.models import BillingDifference, BillingSettings, CancelOffer
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.payments.models import EventState

SETTINGS = "/admin/billing-settings/"
HABITS = {
    "offer": "discount",
    "pause_months": "2",
    "offer_percent": "40",
    "offer_months": "6",
    "leaving": "at_once",
    "time_zone": "Europe/Berlin",
}


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a[^>]*>([^<]+)<', page)


def test_the_event_log_has_billing_alone_and_replays(owner: FlaskClient, session: Session) -> None:
    customer = make_customer()
    row, invoice = make_subscription(customer), make_invoice(customer)
    subject = f"billing_customer:{customer.id}"
    add_event(session, "evt_order")
    add_event(session, "evt_1", type="invoice.paid", object_id=invoice.stripe_id, subject=subject)
    changed = {"type": "customer.subscription.updated", "state": EventState.DONE}
    add_event(session, "evt_2", object_id=row.stripe_id, **changed)
    page = owner.get("/admin/billing-events/").text
    assert sorted(rows(page)) == ["customer.subscription.updated", "invoice.paid"]
    assert f'href="/admin/invoices/details/?id={invoice.id}"' in page
    assert f'href="/admin/subscriptions/details/?id={row.id}"' in page
    assert f'href="/admin/subscriptions/?search={subject}"' in page
    for query, found in {
        "state=parked": ["invoice.paid"],
        "group=subscriptions": ["customer.subscription.updated"],
        "group=customers": [],
        f"search={invoice.stripe_id}": ["invoice.paid"],
        "search=invoice.": ["invoice.paid"],
    }.items():
        page = owner.get(f"/admin/billing-events/?{query}").text
        assert (query, rows(page)) == (query, found)
    told = act(owner, "/admin/billing-events/run-again/", id="evt_1")
    assert told == "The event invoice.paid is tried again at once."
    with counting() as counted:
        owner.get("/admin/billing-events/")
    assert len(counted) <= DOOR + 7, "\n".join(counted.statements)


def add_difference(stripe_id: str, **values: Any) -> BillingDifference:
    fields = {"kind": "subscription", "field": "quantity", "ours": "7", "theirs": "1"} | values
    row = BillingDifference(stripe_id=stripe_id, **fields)
    db.session.add(row)
    db.session.commit()
    return row


def test_a_difference_is_repaired_by_one_press(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    row = alice.row
    row.quantity, row.unit_amount = 7, 1
    session.commit()
    found = [
        add_difference(row.stripe_id),
        add_difference(row.stripe_id, field="unit_amount", ours="1", theirs="1900"),
    ]
    ids = [each.id for each in found]
    assert 'href="/admin/differences/?state=open"' in owner.get("/admin/").text
    page = owner.get("/admin/differences/?state=open").text
    assert page.count(f'href="/admin/subscriptions/details/?id={row.id}"') == 2
    assert owner.get(f"/admin/differences/details/?id={ids[0]}").status_code == 200
    assert "Repair: 2 done." in act(owner, "/admin/differences/repair/", id=ids)
    assert (alice.row.quantity, alice.row.unit_amount) == (1, 1900)
    repaired = session.scalars(select(BillingDifference)).all()
    assert {each.repaired_by for each in repaired} == {"owner@example.org"}
    assert rows(owner.get("/admin/differences/?state=open").text) == []
    deeds = select(AuditEntry.action).where(AuditEntry.subject == f"difference:{ids[0]}")
    assert session.scalars(deeds).all() == ["difference.repaired"]


def test_what_is_gone_at_stripe_stays_open_and_says_so(
    owner: FlaskClient, alice: Subscriber, session: Session
) -> None:
    row = add_difference("sub_nowhere")
    assert "sub_nowhere" in act(owner, "/admin/differences/repair/", id=row.id)
    session.refresh(row)
    assert row.repaired_at is None


def test_the_settings_of_billing_are_kept_and_judged(
    owner: FlaskClient, enter: Enter, session: Session
) -> None:
    page = owner.get(SETTINGS).text
    assert 'value="30"' in page
    for wrong in (
        {"offer": "car"},
        {"pause_months": "13"},
        {"offer_percent": "0"},
        {"offer_months": "9" * 30},
        {"time_zone": "Middle/Earth"},
        {"leaving": ""},
    ):
        assert owner.post(SETTINGS, data=HABITS | wrong).status_code == 422
    assert "are saved" in act(owner, SETTINGS, **HABITS)
    row = session.get_one(BillingSettings, 1)
    assert (row.offer, row.offer_percent, row.offer_months) == (CancelOffer.DISCOUNT, 40, 6)
    assert (row.cancel_at_period_end, row.time_zone) == (False, "Europe/Berlin")
    deed = session.scalars(
        select(AuditEntry).where(AuditEntry.action == "billing_settings.edited")
    ).one()
    assert "time_zone" in deed.details["fields"]
    assert ">Save<" not in enter(Role.MANAGER).get(SETTINGS).text
