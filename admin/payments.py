"""The room of Stripe's events: what was parked, why, and the button that tries it again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import defer
from werkzeug import Response

from admin.base import Action, Column, Filter, Room, action
from admin.subjects import gather_links, subject_link
from webapp.accounts.permissions import Permission
from webapp.core.queue import ring
from webapp.payments.models import EventState, StripeEvent
from webapp.payments.services import replay_event


def _about(event: StripeEvent) -> Any:
    return subject_link(event.subject)


class StripeEvents(Room):
    """Every signed fact Stripe has sent, kept before anything else happened."""

    noun = "event"
    intro = "What Stripe has told this shop. A parked event has run out of tries and waits for you."
    search_hint = "Event or object id, order:42, or type"
    columns: ClassVar[Sequence[Column]] = (
        Column("type", "Type"),
        Column("state", "State", "pill", sort=StripeEvent.state),
        Column("subject", "About", "link", _about),
        Column("id", "Event", "code"),
        Column("attempts", "Tries", "number"),
        Column("received_at", "Received", "moment", sort=StripeEvent.received_at),
        Column("error", "Last error", "short"),
    )
    facts = (
        Column("id", "Event", "code"),
        Column("type", "Type"),
        Column("object_id", "Object", "code"),
        Column("subject", "About", "link", _about),
        Column("created", "Happened", "moment"),
        Column("received_at", "Received", "moment"),
        Column("done_at", "Done", "moment"),
        Column("attempts", "Tries", "number"),
        Column("next_attempt_at", "Next try", "moment"),
        Column("livemode", "Live mode", "flag"),
        Column("request_id", "Request", "code"),
    )
    filters: ClassVar[Sequence[Filter]] = (
        Filter(
            "state",
            "State",
            [(state.value, state.value.capitalize()) for state in EventState],
            lambda value: StripeEvent.state == EventState(value),
        ),
    )
    default_order = (StripeEvent.received_at.desc(),)
    details_template = "admin/payments/event.html"

    def statement(self) -> Select[Any]:
        # A payload has kilobytes and a list shows none of it.
        return select(StripeEvent).options(defer(StripeEvent.payload, raiseload=True))

    def gather(self, rows: Sequence[Any]) -> Mapping[Any, Mapping[str, Any]]:
        return gather_links(rows, "subject")

    def search(self, text: str) -> ColumnElement[bool]:
        """What was typed tells by its shape what it is, so that its own index answers."""
        if text.startswith("evt_"):
            return StripeEvent.id == text
        if ":" in text:
            return StripeEvent.subject == text
        if "_" in text.partition(".")[0] and "." not in text:
            return StripeEvent.object_id == text
        return StripeEvent.type.startswith(text.lower(), autoescape=True)

    def title_of(self, row: StripeEvent) -> str:
        return f"Event {row.type}"

    def detail(self, row: StripeEvent) -> dict[str, Any]:
        # It names people: their addresses, cards and, of who leaves, their words.
        if not self.allows(Permission.MEMBERS_VIEW):
            return {"payload": None}
        return {"payload": json.dumps(row.payload, indent=2, ensure_ascii=False)}

    @action(
        "Run again",
        permission=Permission.JOBS_RUN,
        verb="rerun",
        tone="primary",
        bulk=True,
        when=lambda event: event.state == EventState.PARKED,
    )
    def run_again(self, row: StripeEvent) -> str:
        replay_event(row.id)
        return f"The event {row.type} is tried again at once."

    def carry_out(self, spec: Action, method: Any) -> Response:
        answer = super().carry_out(spec, method)
        # After the commits: whoever answers the bell must find the events waiting.
        ring("jobs.payments.drain_events")
        return answer
