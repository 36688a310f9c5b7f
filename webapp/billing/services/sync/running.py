"""Syncs what events or people point at: fetch outside any transaction, then write in one.

A ticket is drawn before the fetching. Every event's fetch begins after the event, so whatever
order they are handled in, the last fetch to begin has seen everything; an earlier one never
overwrites it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from webapp.billing.models import SYNC_TICKETS, BillingCustomer
from webapp.billing.services import entitling
from webapp.billing.services.sync.fetching import Findings, fetch, paid_with
from webapp.billing.services.sync.known import read_known
from webapp.billing.services.sync.points import record_points
from webapp.billing.services.sync.references import Fact, Ref, refs_of
from webapp.billing.services.sync.writing import write
from webapp.core.db import db
from webapp.core.state import current_fork


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a fact: the ``subject`` it touched (None: not ours), or why it waits."""

    subject: str | None = None
    error: Exception | None = None


def sync_now(*refs: Ref) -> None:
    """Refetch and write; flushes. Raises what Stripe answered, or why it could not be written.

    Begins with network and so commits what the caller holds.
    """
    ticket = _draw_ticket()
    findings = fetch(refs)
    customers = _lock(findings, ())
    failed = _write_groups(customers, findings, ticket)
    for owner, customer in customers.items():
        if owner not in failed:
            # A repair, too: access is made right even where Stripe says nothing new.
            entitling.settle(customer)
    for ref in refs:
        error = _error_of(ref, findings, failed)
        if error is not None:
            raise error


def sync_facts(facts: Sequence[Fact]) -> dict[str, Result]:
    """Sync what a batch of events is about; returns each event's result by its id. Flushes.

    An object that many events name is fetched once. What fails holds back only the events of its
    own customer.
    """
    ticket = _draw_ticket()
    refs = _refs_of_all(facts)
    findings = fetch({ref for each in refs.values() for ref in each})
    customers = _lock(findings, facts)
    failed = _write_groups(customers, findings, ticket)
    record_points(facts, customers)
    return {fact.id: _result(sorted(refs[fact.id]), findings, failed, customers) for fact in facts}


def _refs_of_all(facts: Sequence[Fact]) -> dict[str, frozenset[Ref]]:
    refs = {fact.id: refs_of(fact) for fact in facts}
    holders = {fact.id: fact.card_holder for fact in facts if fact.card_holder}
    paid = paid_with(set(holders.values()))
    db.session.commit()
    return refs | {id_: refs[id_] | paid.get(owner, set()) for id_, owner in holders.items()}


def _draw_ticket() -> int:
    ticket = db.session.scalars(select(SYNC_TICKETS.next_value())).one()
    db.session.commit()
    return ticket


def _lock(findings: Findings, facts: Sequence[Fact]) -> dict[str, BillingCustomer]:
    """Lock everybody concerned whom we know, in the order of their ids; by Stripe's id."""
    _link_new(findings)
    owners = set(findings.owners.values()) | {
        str(fact.object.get("customer")) for fact in facts if fact.tells_of_subscription
    }
    locked = db.session.scalars(
        select(BillingCustomer)
        .where(BillingCustomer.stripe_customer_id.in_(owners))
        .order_by(BillingCustomer.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {str(customer.stripe_customer_id): customer for customer in locked}


def _link_new(findings: Findings) -> None:
    """Recognise customers whose id our own request hasn't written down yet, by their metadata."""
    named = {
        int(found.metadata["billing_customer"]): found.id
        for found in findings.customers.values()
        if found.metadata.get("fork") == current_fork().name
        and found.metadata.get("billing_customer", "").isdigit()
    }
    unlinked = (
        select(BillingCustomer)
        .where(BillingCustomer.id.in_(named), BillingCustomer.stripe_customer_id.is_(None))
        .order_by(BillingCustomer.id)
        .with_for_update()
    )
    for row in db.session.scalars(unlinked) if named else ():
        row.stripe_customer_id = named[row.id]
    db.session.flush()


def _write_groups(
    customers: dict[str, BillingCustomer], findings: Findings, ticket: int
) -> dict[str, Exception]:
    """Write each customer's findings under their lock; returns what failed, by Stripe customer."""
    failed = dict(findings.broken)
    known = read_known(customers.values(), findings)
    for owner, customer in customers.items():
        if owner in failed:
            continue
        try:
            with db.session.begin_nested():
                write(customer, findings, known, ticket)
        except Exception as error:
            failed[owner] = error
    return failed


def _result(
    refs: Sequence[Ref],
    findings: Findings,
    failed: dict[str, Exception],
    customers: dict[str, BillingCustomer],
) -> Result:
    errors = (_error_of(ref, findings, failed) for ref in refs)
    error = next((each for each in errors if each is not None), None)
    owners = (findings.owners.get(ref, "") for ref in refs)
    customer = next((customers[owner] for owner in owners if owner in customers), None)
    return Result(f"billing_customer:{customer.id}" if customer else None, error)


def _error_of(ref: Ref, findings: Findings, failed: dict[str, Exception]) -> Exception | None:
    return findings.errors.get(ref) or failed.get(findings.owners.get(ref, ""))
