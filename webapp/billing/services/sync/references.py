"""What an event of Stripe's is about: the type says what to look at, never what is true."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class RefKind(StrEnum):
    CUSTOMER = "customer"
    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    SESSION = "session"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """An object of Stripe's to be fetched."""

    kind: RefKind
    id: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A verified event as it lies in the inbox."""

    id: str
    type: str
    created: datetime
    data: Mapping[str, Any]

    @property
    def object(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data["object"]
        return found

    @property
    def customer(self) -> str | None:
        """Stripe's id of whom it is about, where it says so."""
        about, before = self.object, self.data.get("previous_attributes") or {}
        own = about.get("id") if about.get("object") == "customer" else about.get("customer")
        return own or before.get("customer")

    @property
    def card_holder(self) -> str | None:
        """Whose card it tells of, or whose it was until now; None for what is no card."""
        if self.object.get("object") != "payment_method":
            return None
        before = self.data.get("previous_attributes") or {}
        owner = self.object.get("customer") or before.get("customer")
        return str(owner) if owner else None

    @property
    def tells_of_subscription(self) -> bool:
        return self.object.get("object") == "subscription"


def refs_of(fact: Fact) -> frozenset[Ref]:
    """Return what has to be fetched anew because of ``fact``; empty if nothing concerns us.

    An invoice brings its subscription along, so that paying and being active again are one step. A
    card brings its holder; for what is paid with it see ``paid_with``.
    """
    about = fact.object
    kind = about.get("object")
    if kind == "subscription":
        return _refs(RefKind.SUBSCRIPTION, about.get("id"))
    if kind == "invoice":
        return _refs(RefKind.INVOICE, about.get("id")) | _refs(
            RefKind.SUBSCRIPTION, _subscription_of(about)
        )
    if kind == "customer":
        return _refs(RefKind.CUSTOMER, about.get("id"))
    if kind == "checkout.session":
        return _refs(RefKind.SESSION, about.get("id"))
    if kind == "payment_method":
        return _refs(RefKind.CUSTOMER, fact.card_holder)
    if kind == "discount":
        return _refs(RefKind.SUBSCRIPTION, about.get("subscription"))
    return frozenset()


def _subscription_of(invoice: Mapping[str, Any]) -> Any:
    parent = invoice.get("parent") or {}
    named = (parent.get("subscription_details") or {}).get("subscription")
    # An account's older version, in whose words listed events speak.
    return named or invoice.get("subscription")


def _refs(kind: RefKind, id_: Any) -> frozenset[Ref]:
    if isinstance(id_, Mapping):
        id_ = id_.get("id")
    return frozenset({Ref(kind, str(id_))}) if id_ else frozenset()
