"""Changes we want of Stripe, written down with their key before anybody asks for them."""

import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.billing.models import (
    BillingCustomer,
    BillingOperation,
    OperationKind,
    OperationState,
)
from webapp.core import clock
from webapp.core.audit import Actor
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue

CARRY_OUT = "jobs.billing.carry_out"
# An hour apart in the end, they reach over a fortnight: a bank may take that long to say whether a
# debit went through, and Stripe answers for a day as it did to the same key before.
TRIES = 400


def ask(
    kind: OperationKind,
    customer: BillingCustomer,
    target: str,
    params: dict[str, Any],
    *,
    actor: Actor,
    key: str | None = None,
) -> BillingOperation:
    """Write down a change of ``target`` (an id of Stripe's) and promise it; flushes.

    The same ``key`` is the same request: the second one returns the first one's row. After the
    commit the caller may ``carrying_out.carry_out`` it at once, to show what came of it.
    """
    key = key or str(uuid.uuid4())
    values = {
        "kind": kind,
        "customer_id": customer.id,
        "target": target,
        "params": params,
        "idempotency_key": key,
        "state": OperationState.REQUESTED,
        "attempts": 0,
        "due_at": clock.now(),
        "actor": f"{actor.kind.value}:{actor.id}" if actor.id else actor.kind.value,
        "created_at": clock.now(),
    }
    statement = insert(BillingOperation).values(values).on_conflict_do_nothing()
    db.session.execute(statement)
    mine = select(BillingOperation).where(BillingOperation.idempotency_key == key)
    operation = db.session.scalars(mine).one()
    enqueue(
        CARRY_OUT,
        operation.id,
        queue=Queue.CRITICAL,
        subject=f"billing_customer:{customer.id}",
        key=f"billing_operation:{operation.id}",
        max_attempts=TRIES,
    )
    return operation


def take_back(
    kinds: Collection[OperationKind], target: str, why: str, prefix: str = ""
) -> list[str]:
    """Refuse what waits to be asked of ``target``; returns the keys, which begin with ``prefix``.

    What is being asked this very moment can't be taken back: ``is_waiting`` tells. Flushes.
    """
    taken_back = db.session.scalars(
        update(BillingOperation)
        .where(
            BillingOperation.target == target,
            BillingOperation.kind.in_(kinds),
            BillingOperation.state == OperationState.REQUESTED,
            BillingOperation.due_at <= clock.now(),
            BillingOperation.idempotency_key.startswith(prefix, autoescape=True),
        )
        .values(state=OperationState.REFUSED, error=why, finished_at=clock.now())
        .returning(BillingOperation.idempotency_key)
        .execution_options(synchronize_session=False)
    )
    return list(taken_back)


def is_waiting(kinds: Collection[OperationKind], target: str, prefix: str = "") -> bool:
    """Whether anything like it is asked of ``target`` and has no answer yet."""
    waiting = select(BillingOperation.id).where(
        BillingOperation.target == target,
        BillingOperation.kind.in_(kinds),
        BillingOperation.state == OperationState.REQUESTED,
        BillingOperation.idempotency_key.startswith(prefix, autoescape=True),
    )
    return db.session.scalar(waiting.limit(1)) is not None
