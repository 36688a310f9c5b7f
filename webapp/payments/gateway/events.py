"""What Stripe tells by webhook: believed only when its signature holds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from webapp.core import clock
from webapp.payments.errors import InvalidWebhook
from webapp.payments.gateway.client import fetch_all

SIGNATURE_TOLERANCE_SECONDS = 300
# A clock may run a little ahead of ours; more than this is no clock but a forger.
FUTURE_TOLERANCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Event:
    """A verified event: its envelope is trusted, its object is refetched before use."""

    id: str
    type: str
    created: datetime
    livemode: bool
    object_id: str | None
    payload: dict[str, Any]


def verify_event(body: bytes, signature: str, secrets: list[str]) -> Event:
    """Return the event in a signed webhook request. Raises InvalidWebhook with the reason.

    https://docs.stripe.com/webhooks#verify-manually. The SDK accepts signatures from the
    future; we don't.
    """
    if not any(_signed_with(body, signature, secret) for secret in secrets):
        raise InvalidWebhook("the signature is missing, wrong or stale")
    if _signed_at(signature) > clock.now() + timedelta(seconds=FUTURE_TOLERANCE_SECONDS):
        raise InvalidWebhook("the signature is dated in the future")
    try:
        return _event(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise InvalidWebhook("the body is not an event") from None


def list_events(
    types: list[str], since: datetime, before: datetime | None = None
) -> Iterator[Event]:
    """Yield Stripe's own list of events of up to 20 ``types``, newest first; it keeps 30 days."""
    created = {"gte": int(since.timestamp())}
    if before is not None:
        created["lt"] = int(before.timestamp())
    for found in fetch_all("events", types=types, created=created):
        yield _event(found)


def _signed_with(body: bytes, signature: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(
            body.decode(), signature, secret, SIGNATURE_TOLERANCE_SECONDS
        )
    except (stripe.SignatureVerificationError, ValueError):
        return False
    return True


def _signed_at(signature: str) -> datetime:
    stamp = next((part[2:] for part in signature.split(",") if part.startswith("t=")), "")
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidWebhook("the signature has no time") from None


def _event(told: dict[str, Any]) -> Event:
    payload = _without_nul(told)
    if payload.get("object") != "event" or not str(payload["id"]).startswith("evt_"):
        raise ValueError("not an event")
    return Event(
        id=str(payload["id"]),
        type=str(payload["type"]),
        created=datetime.fromtimestamp(int(payload["created"]), UTC),
        livemode=bool(payload["livemode"]),
        object_id=payload["data"]["object"].get("id"),
        payload=payload,
    )


def _without_nul(value: Any) -> Any:
    """Leave out the one sign that Postgres can't keep: a single one would hold up every sweep."""
    if isinstance(value, dict):
        return {key: _without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nul(inner) for inner in value]
    return value.replace("\0", "") if isinstance(value, str) else value
