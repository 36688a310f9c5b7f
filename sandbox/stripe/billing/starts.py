"""When a subscription's first period begins and ends: trial, anchor, and an end set in advance."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.billing import items
from sandbox.stripe.billing.periods import DAY, Cycle
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

_LONGEST_TRIAL = 730 * DAY


def begin(world: World, subscription: Row, params: Json) -> None:
    """Set trial, anchor and the items' first period; the caller saves."""
    body = subscription.body
    trial_end = trial_of(world, params)
    first = body["items"]["data"][0]["price"]["recurring"]
    if trial_end:
        body |= {"trial_start": world.now, "trial_end": trial_end}
        body["billing_cycle_anchor"] = trial_end
        end = trial_end
    else:
        body["billing_cycle_anchor"] = _anchor(world, params)
        end = Cycle.of(body["billing_cycle_anchor"], first).end_after(world.now)
    items.set_period(body["items"]["data"], world.now, end)


def trial_of(world: World, params: Json) -> int | None:
    """When the trial that was asked for ends; None for none. Raises ApiError."""
    if "trial_end" in params and "trial_period_days" in params:
        raise errors.invalid(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
            "trial_end",
        )
    if params.get("trial_period_days") is not None:
        days = params["trial_period_days"]
        if not 0 <= days <= 730:
            raise errors.invalid("Trial periods may last up to 730 days.", "trial_period_days")
        return world.now + days * DAY if days else None
    wanted = params.get("trial_end")
    return None if wanted in (None, "now") else checked_trial_end(world, wanted)


def checked_trial_end(world: World, wanted: Any) -> int:
    if not isinstance(wanted, int):
        raise errors.invalid("Invalid trial_end: must be a timestamp or `now`.", "trial_end")
    if wanted <= world.now:
        raise errors.invalid(
            "Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end"
        )
    if wanted > world.now + _LONGEST_TRIAL:
        raise errors.invalid("Trial periods may last up to 730 days.", "trial_end")
    return wanted


def _anchor(world: World, params: Json) -> int:
    if params.get("billing_cycle_anchor_config"):
        return _configured(world, params["billing_cycle_anchor_config"])
    wanted = params.get("billing_cycle_anchor")
    if wanted is None:
        return world.now
    if wanted <= world.now:
        raise errors.invalid(
            "Invalid timestamp: billing_cycle_anchor must be in the future.",
            "billing_cycle_anchor",
        )
    return int(wanted)


def _configured(world: World, wanted: Json) -> int:
    """The next moment with this day of the month, and the given time of day."""
    now = datetime.fromtimestamp(world.now, UTC)
    moment = now.replace(
        hour=wanted.get("hour", now.hour),
        minute=wanted.get("minute", now.minute),
        second=wanted.get("second", now.second),
        day=1,
    )
    start = int(moment.timestamp())
    for ahead in range(14):
        month = Cycle(start, "month", 1).boundary(ahead)
        candidate = _on_day(month, wanted["day_of_month"])
        fits = wanted.get("month") in (None, datetime.fromtimestamp(month, UTC).month)
        if fits and candidate > world.now:
            return candidate
    raise errors.invalid("Invalid billing_cycle_anchor_config.", "billing_cycle_anchor_config")


def _on_day(first_of_month: int, day: int) -> int:
    following = Cycle(first_of_month, "month", 1).boundary(1)
    return min(first_of_month + (day - 1) * DAY, following - DAY)


def share_of_first(subscription: Row) -> Decimal:
    """How much of a whole period the first one is; less than 1 where the anchor lies ahead."""
    start, end = items.period_of(subscription)
    body = subscription.body
    cycle = Cycle.of(body["billing_cycle_anchor"], body["items"]["data"][0]["price"]["recurring"])
    whole = end - cycle.start_before(end)
    return min(Decimal(end - start) / Decimal(whole), Decimal(1))


def set_end(world: World, subscription: Row, params: Json) -> None:
    """`cancel_at` and `cancel_at_period_end`, as sent; the caller saves."""
    body = subscription.body
    if "cancel_at" in params and "cancel_at_period_end" in params:
        raise errors.invalid(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
            "cancel_at",
        )
    period_end = items.period_of(subscription)[1]
    if "cancel_at_period_end" in params:
        wanted = params["cancel_at_period_end"]
        # False takes back no `cancel_at` that was set by itself.
        if wanted or body["cancel_at_period_end"]:
            _plan_end(world, body, period_end if wanted else None, wanted)
    elif "cancel_at" in params:
        at = params["cancel_at"]
        if at in ("min_period_end", "max_period_end", "max_billed_until"):
            at = period_end
        if at is not None and (not isinstance(at, int) or at <= world.now):
            raise errors.invalid("`cancel_at` must be a timestamp in the future.", "cancel_at")
        _plan_end(world, body, at, False)


def _plan_end(world: World, body: Json, at: int | None, at_period_end: bool) -> None:
    if at is None and body["cancel_at"] is None:
        return
    again = body["cancel_at"] == at and body["cancel_at_period_end"] == at_period_end
    details = body["cancellation_details"]
    body |= {
        "cancel_at": at,
        "cancel_at_period_end": at_period_end,
        "canceled_at": body["canceled_at"] if again else (world.now if at else None),
        "cancellation_details": {**details, "reason": "cancellation_requested" if at else None},
    }
