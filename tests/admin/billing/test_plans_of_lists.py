"""With very many of each, a page of a list is still read by an index."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from tests.factories.billing import make_plan, make_policy
from tests.plans import explained, measure

# Enough for Postgres to choose as it does for a hundred thousand, and filled in seconds.
MANY = 20_000
FILL = """
INSERT INTO billing_customer (email, stripe_customer_id, synced_ticket, created_at)
SELECT 'u' || n || '@example.com', 'cus_' || n, 0, now() FROM generate_series(1, :many) n;
INSERT INTO subscription (stripe_id, customer_id, plan_price_id, status, stripe_price_id, item_id,
  interval, interval_count, currency, unit_amount, quantity, discounts, annual_amount, started_at,
  current_period_start, current_period_end, cancel_at_period_end, livemode, duplicate,
  synced_ticket, synced_at, created_at)
SELECT 'sub_' || id, id, (SELECT min(id) FROM plan_price),
  (ARRAY['active', 'canceled', 'past_due'])[CASE WHEN n % 100 = 0 THEN 3 ELSE 1 + n % 2 END],
  'price_x', 'si_x', 'month', 1, 'usd', 1900, 1, '[]', 22800, now(), now(), now(), false, false,
  false, 0, now(), now()
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM billing_customer) c;
INSERT INTO invoice (stripe_id, customer_id, subscription_id, status, number, billing_reason,
  currency, subtotal, total, amount_due, amount_paid, amount_remaining, attempt_count,
  period_start, period_end, issued_at, processing, lines, livemode, synced_ticket, synced_at,
  created_at)
SELECT 'in_' || id, customer_id, id, CASE WHEN id % 100 = 0 THEN 'open' ELSE 'paid' END, 'N-' || id,
  'subscription_cycle', 'usd', 1900, 1900, 1900, 0, 1900, 1, now(), now(),
  now() - id * interval '1 minute', false, '[]', false, 0, now(), now()
FROM subscription;
INSERT INTO dunning_case (invoice_id, subscription_id, customer_id, policy_id, state, amount,
  currency, decline_kind, opened_at, left_alone, held_seconds, closed_at, created_at)
SELECT id, subscription_id, customer_id, (SELECT min(id) FROM dunning_policy),
  CASE WHEN status = 'open' THEN 'open' ELSE 'recovered' END, 1900, 'usd', 'try_again', issued_at,
  '[]', 0, CASE WHEN status = 'open' THEN NULL ELSE now() END, now()
FROM invoice
"""
TABLES = ("billing_customer", "subscription", "invoice", "dunning_case")


@pytest.fixture
def crowd(session: Session) -> Session:
    make_plan()
    make_policy()
    # Filling is no page, and may take its time on a machine that does much else.
    session.execute(text("SET statement_timeout = 0"))
    for table, statement in zip(TABLES, FILL.split(";\n"), strict=True):
        session.execute(text(statement), {"many": MANY} if ":many" in statement else {})
        # At once: until Postgres knows how many there are now, each row of the next table that
        # refers to this one is looked up by reading all of it.
        session.execute(text(f"ANALYZE {table}"))
    session.execute(text("RESET statement_timeout"))
    session.commit()
    measure(session)
    return session


def test_no_page_of_a_list_reads_a_whole_table(
    owner: FlaskClient, crowd: Session, connection: Connection
) -> None:
    for path in (
        "/admin/subscriptions/",
        "/admin/subscriptions/?status=past_due",
        "/admin/subscriptions/?search=u777@example.com",
        "/admin/subscriptions/?search=sub_777",
        "/admin/subscriptions/?search=cus_777",
        "/admin/invoices/",
        "/admin/invoices/?status=open",
        "/admin/invoices/?search=N-777",
        "/admin/invoices/?search=u777@example.com",
        "/admin/cases/",
        "/admin/cases/?state=open",
        "/admin/cases/?search=u777@example.com",
    ):
        with explained(connection, *(f"FROM {table}" for table in TABLES)) as plans:
            page = owner.get(path)
        assert page.status_code == 200
        assert '<th scope="row"><a' in page.text, path
        for plan in plans:
            whole = [
                line
                for line in plan.splitlines()
                if "Seq Scan on" in line and any(table in line for table in TABLES[1:])
            ]
            # Counting stops at ten thousand, and so may read on from where it is. Part of an
            # address can be anywhere in it: only customers' rows, the smallest, are read for it.
            assert not whole or plan.startswith("Aggregate"), f"{path}\n{plan}"
