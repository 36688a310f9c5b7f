"""The events that all contestants are given, in the order they happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.billing.people import Member
from bench.load import Load

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """``warm`` is what other members did, in two parts to begin with; ``others`` is the rest."""

    warm: tuple[list[Event], list[Event]]
    events: list[Event]
    others: list[Event]


@dataclass(frozen=True, slots=True)
class Worked:
    """How a stream went: how the webhooks were answered, and how many were done in how long."""

    ack: Load
    done: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events done per second."""
        return self.done / self.seconds


def split(
    events: Sequence[Event], groups: tuple[Sequence[Member], Sequence[Member], Sequence[Member]]
) -> Stream:
    """Sort out what is about whom, and leave away what a shop with subscriptions doesn't handle.

    Charges and payment intents tell nothing that their invoice doesn't; the rival gets the same.
    """
    from webapp.payments.services import BILLED

    parts: tuple[list[Event], ...] = ([], [], [], [])
    group_of = {member.customer: at for at, group in enumerate(groups) for member in group}
    for event in events:
        if event["type"] in BILLED:
            parts[group_of.get(_customer_of(event), 3)].append(event)
    return Stream((parts[0], parts[1]), parts[2], parts[3])


def _customer_of(event: Event) -> str:
    about = event["data"]["object"]
    return str(about["id"] if about["object"] == "customer" else about.get("customer"))
