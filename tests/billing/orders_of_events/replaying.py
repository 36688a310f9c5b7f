"""Handles a chapter's events in any order, takes it all back, and says what was left at the end."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any

import pytest
from sqlalchemy import Connection, delete, inspect, select

from jobs.billing.sync import handle_facts, sweep_events
from jobs.payments import drain_events
from tests.billing.orders_of_events.stories import Answers, Page
from webapp.billing import models
from webapp.billing.services import dunning
from webapp.billing.services.sync import Fact, fetching
from webapp.core import clock
from webapp.core.db import Base, db
from webapp.messaging.models import Mail
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject
from webapp.payments.models import EventState, StripeEvent

TABLES: tuple[type[Base], ...] = (
    models.BillingCustomer,
    models.Subscription,
    models.SubscriptionPoint,
    models.BillingDiscount,
    models.BillingCheckout,
    models.Invoice,
    models.PaymentAttempt,
    models.BillingOperation,
    models.BillingDifference,
    models.DunningCase,
    models.DunningStep,
    models.Entitlement,
)
#: When and in what order we did it, which is not what became of it.
OURS = frozenset(
    {
        *("id", "created_at", "synced_at", "synced_ticket", "changed_at", "finished_at", "at"),
        *("due_at", "attempts", "policy_id", "token_hash", "idempotency_key"),
    }
)
#: How others' ids are said: by the ids that Stripe gave.
NAMES: dict[str, tuple[type[Any], str]] = {
    "customer_id": (models.BillingCustomer, "stripe_customer_id"),
    "subscription_id": (models.Subscription, "stripe_id"),
    "invoice_id": (models.Invoice, "stripe_id"),
    "case_id": (models.DunningCase, "opened_at"),
}
State = dict[str, list[str]]


@dataclass
class Stage:
    """The one connection of a test, and a Stripe that answers as it did at a chosen page."""

    connection: Connection
    monkeypatch: pytest.MonkeyPatch
    pages: Sequence[Page]

    def __post_init__(self) -> None:
        self.answers: Answers = self.pages[-1].answers
        for kind in fetching.FETCH:
            self.monkeypatch.setitem(fetching.FETCH, kind, partial(self._answer, kind))
        self.monkeypatch.setattr(gateway, "list_charges", partial(self._answer, "charges"))

    def _answer(self, kind: str, id_: str) -> Any:
        if (kind, id_) not in self.answers:
            raise NoSuchStripeObject(f"There is no {kind} {id_} yet.")
        return self.answers[(kind, id_)]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for page in self.pages for event in page.events]

    def swapped_soon(self) -> Iterator[tuple[str, State]]:
        """Let each two change places, everything handled as soon as it and all before happened.

        What comes before the two is the same for many, and handled once for all of them.
        """
        count = len(self.events)
        for first in range(count - 1):
            with self.taken_back():
                reached = self._tell([range(first)])
                for second in range(first + 1, count):
                    order = [[second], range(first + 1, second), [first], range(second + 1, count)]
                    with self.taken_back():
                        self._tell(order, reached)
                        yield f"{second} before {first}", self.look()

    def led_late(self) -> Iterator[tuple[str, State]]:
        """Let each come first, and all others after it, handled when everything is over."""
        everything = range(len(self.events))
        for first in everything:
            others = [number for number in everything if number != first]
            with self.taken_back():
                self._tell([[first], others], len(self.pages) - 1)
                yield f"{first} before all others, late", self.look()

    def replay(self, *parts: Sequence[int]) -> State:
        """Handle the events in this order, as soon as they have happened."""
        with self.taken_back():
            self._tell(parts)
            return self.look()

    def _tell(self, parts: Iterable[Sequence[int]], reached: int = 0) -> int:
        """Handle part after part, each in batches of what one page told; returns the last page."""
        page_of = [n for n, page in enumerate(self.pages) for _ in page.events]
        for part in parts:
            pages = list(accumulate((max(reached, page_of[number]) for number in part), max))
            for page, batch in groupby(zip(pages, part, strict=True), itemgetter(0)):
                reached = page
                self.answers = self.pages[page].answers
                with clock.frozen(self.pages[page].at):
                    self._handle([self.events[number] for _, number in batch])
        return reached

    def drop_and_sweep(self, number: int) -> State:
        """Handle all but one, whose webhook never came; then find it in Stripe's list."""
        events = self.events
        self.answers = self.pages[-1].answers
        with self.taken_back(), clock.frozen(self.pages[-1].at):
            lost = events[number]["id"]
            db.session.execute(delete(StripeEvent).where(StripeEvent.id == lost))
            db.session.commit()
            drain_events()
            sweep_events(self.pages[-1].at - self.pages[0].at + timedelta(days=1))
            assert db.session.get(StripeEvent, lost) is not None
            drain_events()
            return self.look()

    def _handle(self, events: list[dict[str, Any]]) -> None:
        ids = [event["id"] for event in events]
        found = select(StripeEvent).where(StripeEvent.id.in_(ids))
        rows = {row.id: row for row in db.session.scalars(found)}
        told = [rows[id_] for id_ in ids]
        facts = [Fact(row.id, row.type, row.created, row.payload["data"]) for row in told]
        db.session.commit()
        handle_facts(facts, dict.fromkeys(ids, 1))
        waiting = found.where(StripeEvent.state.not_in((EventState.DONE, EventState.IGNORED)))
        assert not [row.type for row in db.session.scalars(waiting)]

    @contextmanager
    def taken_back(self) -> Iterator[None]:
        """What happens inside never happened."""
        db.session.commit()
        savepoint = self.connection.begin_nested()
        try:
            yield
        finally:
            db.session.remove()
            savepoint.rollback()

    def look(self) -> State:
        """Everything that we hold of billing, once the clock has ticked."""
        with clock.frozen(self.pages[-1].at):
            while dunning.tick():
                db.session.commit()
            db.session.commit()
        db.session.expire_all()
        names: dict[str, dict[int, str]] = {
            column: dict(db.session.execute(select(model.id, getattr(model, name))).all())
            for column, (model, name) in NAMES.items()
        }
        state = {model.__name__: _rows(model, names) for model in TABLES}
        mails = db.session.execute(select(Mail.kind, Mail.recipient, Mail.state, Mail.subject))
        state["Mail"] = sorted(map(str, mails))
        return state


def _rows(model: type[Base], names: dict[str, dict[Any, Any]]) -> list[str]:
    columns = [column.key for column in inspect(model).columns if column.key not in OURS]
    if model is models.SubscriptionPoint or model is models.PaymentAttempt:
        columns.append("at")
    found = []
    for row in db.session.scalars(select(model)):
        values = {name: getattr(row, name) for name in columns}
        named = {
            name: names[name].get(value) if name in names else value
            for name, value in values.items()
        }
        found.append(str(named))
    return sorted(found)
