"""Changing a subscription: its plan with proration, its discounts, its end and its settings."""

from dataclasses import dataclass, field

from sandbox.stripe import errors
from sandbox.stripe.billing import (
    cycles,
    drafting,
    ending,
    extras,
    items,
    lines,
    offers,
    paying,
    proration,
    standing,
    starts,
    subscription_body,
)
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata, merged_metadata

_PLAIN = ("days_until_due", "description")
_AFTER_END = {"cancellation_details", "metadata"}


@dataclass(slots=True)
class Change:
    """What differs between a subscription's items before and after: credited, and charged anew."""

    items: list[Json]
    credited: list[Json] = field(default_factory=list)
    debited: list[Json] = field(default_factory=list)


def update(world: World, subscription: Row, params: Json) -> Row:
    """Do what `POST /v1/subscriptions/{id}` does with its parameters; raises ApiError."""
    check(subscription, params)
    before = standing.snapshot(subscription)
    settle_settings(world, subscription, params)
    invoice = change_plan(world, subscription, params)
    world.save(subscription)
    if invoice is not None:
        world.emit("invoice.created", invoice)
    standing.announce(world, subscription, before)
    if invoice is not None:
        _collect(world, invoice, params)
    return subscription


def check(subscription: Row, params: Json) -> None:
    errors.unsupported(params, (*subscription_body.UNSUPPORTED, "billing_schedules"))
    subscription_body.check_automatic_tax(params)
    check_metadata(params.get("metadata") or {})
    if standing.has_ended(subscription) and set(params) - _AFTER_END:
        raise errors.invalid(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    if subscription.body["status"] == "incomplete" and params.get("items"):
        raise errors.invalid(
            "An incomplete subscription cannot change its items before its first invoice is paid.",
            "items",
        )
    if params.get("payment_behavior") == "pending_if_incomplete":
        raise errors.invalid(
            "The sandbox does not support `pending_if_incomplete` yet.", "payment_behavior"
        )


def settle_settings(world: World, subscription: Row, params: Json) -> None:
    """Everything but items, trial and anchor; the caller saves."""
    body = subscription.body
    body |= {name: params[name] for name in _PLAIN if name in params}
    if "metadata" in params:
        body["metadata"] = merged_metadata(body["metadata"], params["metadata"])
    if params.get("collection_method"):
        body["collection_method"] = params["collection_method"]
    if "default_payment_method" in params:
        customer = world.get("customer", body["customer"])
        wanted = params["default_payment_method"]
        body["default_payment_method"] = wanted and subscription_body.check_method(
            world, customer, wanted
        )
    if "default_tax_rates" in params:
        sent = params["default_tax_rates"]
        body["default_tax_rates"] = items.rates(world, sent, "default_tax_rates")
    if params.get("trial_settings"):
        body["trial_settings"] = subscription_body.trial_settings(params["trial_settings"])
    if params.get("payment_settings"):
        body["payment_settings"] = subscription_body.payment_settings(params["payment_settings"])
    if params.get("invoice_settings"):
        body["invoice_settings"] = subscription_body.invoice_settings(params["invoice_settings"])
    _discounts(world, subscription, params)
    _end_and_pause(world, subscription, params)


def _discounts(world: World, subscription: Row, params: Json) -> None:
    if "discounts" not in params:
        return
    body = subscription.body
    holder = {"customer": body["customer"], "subscription": subscription.id}
    whole = sum(items.amount_of(item) for item in body["items"]["data"])
    kept = offers.attach(world, params["discounts"] or [], holder, body["currency"], whole)
    cycles.end_discounts(world, subscription, kept)


def _end_and_pause(world: World, subscription: Row, params: Json) -> None:
    body = subscription.body
    starts.set_end(world, subscription, params)
    if "cancellation_details" in params:
        sent, current = params["cancellation_details"], body["cancellation_details"]
        body["cancellation_details"] = ending.details_of(sent, current)
    if "pause_collection" in params:
        _pause(world, subscription, params["pause_collection"])
    if {"cancel_at", "cancel_at_period_end"} & set(params):
        cycles.set_timers(world, subscription)


def _pause(world: World, subscription: Row, sent: Json | None) -> None:
    world.drop_timer(subscription.id, "resume_collection")
    resumes_at = (sent or {}).get("resumes_at")
    if resumes_at is not None and resumes_at <= world.now:
        raise errors.invalid(
            "`pause_collection[resumes_at]` must be in the future.", "pause_collection[resumes_at]"
        )
    subscription.body["pause_collection"] = sent and {
        "behavior": sent["behavior"],
        "resumes_at": resumes_at,
    }
    if resumes_at:
        world.set_timer(subscription.id, "resume_collection", resumes_at)


def change_plan(world: World, subscription: Row, params: Json) -> Row | None:
    """Items, trial and anchor; returns the draft of what is due at once, if anything is."""
    change = _changed(world, subscription, params.get("items") or [])
    extras.add(world, subscription, params.get("add_invoice_items") or [])
    status = subscription.body["status"]
    trial = params.get("trial_end")
    ends_trial = trial == "now" and status == "trialing"
    if trial not in (None, "now"):
        return _into_trial(world, subscription, change, starts.checked_trial_end(world, trial))
    if status == "paused" or (status == "trialing" and not ends_trial):
        _put(subscription, change.items)
        return None
    anchor = (params.get("billing_cycle_anchor") or {}).get("type")
    if ends_trial or anchor == "now" or _restarts(subscription, change):
        return _restart(world, subscription, change, params)
    return _prorate(world, subscription, change, params)


def _changed(world: World, subscription: Row, sent: list[Json]) -> Change:
    """The items as they shall be, and which of them differ; raises ApiError."""
    change = Change([dict(item) for item in subscription.body["items"]["data"]])
    for index, wanted in enumerate(sent):
        path = f"items[{index}]"
        if "id" in wanted:
            _change_item(world, subscription, change, wanted, path)
        elif wanted.get("price") in [item["price"]["id"] for item in change.items]:
            # Named by its price alone, an item that is there already is changed, not doubled.
            same = next(i for i in change.items if i["price"]["id"] == wanted["price"])
            _change_item(world, subscription, change, {**wanted, "id": same["id"]}, path)
        else:
            new = items.new_item(world, subscription.id, wanted, path)
            change.items.append(new)
            change.debited.append(new)
    items.check_together(change.items)
    start, end = items.period_of(subscription)
    items.set_period(change.items, start, end)
    return change


def _change_item(world: World, subscription: Row, change: Change, wanted: Json, path: str) -> None:
    position = next((i for i, it in enumerate(change.items) if it["id"] == wanted["id"]), None)
    if position is None:
        raise errors.missing("subscription_item", wanted["id"], f"{path}[id]", 400)
    old = change.items[position]
    if wanted.get("deleted"):
        del change.items[position]
        change.credited.append(old)
        return
    new = dict(old)
    if "price" in wanted or "price_data" in wanted:
        named: Json = {key: wanted[key] for key in ("price", "price_data") if key in wanted}
        price = items.chosen_price(world, named, path)
        if price.body["currency"] != subscription.body["currency"]:
            raise errors.invalid(
                f"The price specified only supports `{price.body['currency']}`. This doesn't "
                f"match the expected currency: `{subscription.body['currency']}`.",
                f"{path}[price]",
            )
        new |= {"price": price.body, "plan": items.plan_of(price.body)}
    if "quantity" in wanted:
        items.check_quantity(wanted["quantity"], f"{path}[quantity]")
        new["quantity"] = wanted["quantity"]
    if "metadata" in wanted:
        new["metadata"] = merged_metadata(old["metadata"], wanted["metadata"])
    if "tax_rates" in wanted:
        new["tax_rates"] = items.rates(world, wanted["tax_rates"], f"{path}[tax_rates]")
    change.items[position] = new
    if (new["price"]["id"], new["quantity"]) != (old["price"]["id"], old["quantity"]):
        change.credited.append(old)
        change.debited.append(new)


def _put(subscription: Row, chosen: list[Json]) -> None:
    subscription.body["items"] = items.as_list(chosen, subscription.id)


def _restarts(subscription: Row, change: Change) -> bool:
    """Another interval, or the step from free to paid, begins a new cycle at once."""
    old = subscription.body["items"]["data"]
    if items.rhythm(change.items[0]["price"]) != items.rhythm(old[0]["price"]):
        return True
    was = sum(items.amount_of(item) for item in old)
    return was == 0 < sum(items.amount_of(item) for item in change.items)


def _stretch(world: World, subscription: Row, params: Json) -> proration.Stretch:
    start, end = items.period_of(subscription)
    moment = params.get("proration_date", world.now)
    if not start <= moment <= end:
        raise errors.invalid(
            "Invalid proration_date: it must lie within the subscription's current period.",
            "proration_date",
        )
    return proration.Stretch(start, moment, end)


def _prorate(world: World, subscription: Row, change: Change, params: Json) -> Row | None:
    """Credit and charge the rest of the period: with the next invoice, or with one of its own."""
    behavior = params.get("proration_behavior", "create_prorations")
    stretch = _stretch(world, subscription, params)
    if behavior != "none":
        for item in change.credited:
            proration.credit(world, subscription, item, stretch)
        for item in change.debited:
            proration.debit(world, subscription, item, stretch)
    _put(subscription, change.items)
    if behavior != "always_invoice" or not (change.credited or change.debited):
        return None
    return cycles.bill(world, subscription, "subscription_update", [])


def _restart(world: World, subscription: Row, change: Change, params: Json) -> Row:
    """Begin a new cycle now: unused time is credited, a whole period is charged."""
    body = subscription.body
    _credit_rest(world, subscription, params)
    if body["status"] == "trialing":
        body |= {"status": "active", "trial_end": world.now}
        world.drop_timer(subscription.id, "trial_will_end")
    _put(subscription, change.items)
    body["billing_cycle_anchor"] = world.now
    end = cycles.cycle_of(subscription).end_after(world.now)
    cycles.start_period(world, subscription, world.now, end)
    if body["cancel_at_period_end"]:
        body["cancel_at"] = end
    wanted = cycles.period_lines(world, subscription)
    return cycles.bill(world, subscription, "subscription_update", wanted)


def _credit_rest(world: World, subscription: Row, params: Json) -> None:
    behavior = params.get("proration_behavior", "create_prorations")
    if behavior == "none" or subscription.body["status"] == "trialing":
        return
    stretch = _stretch(world, subscription, params)
    if stretch.moment < stretch.end:
        for item in subscription.body["items"]["data"]:
            if items.amount_of(item):
                proration.credit(world, subscription, item, stretch)


def _into_trial(world: World, subscription: Row, change: Change, trial_end: int) -> Row | None:
    """Let a trial begin, or last longer; what was paid for already is credited."""
    body = subscription.body
    already = body["status"] == "trialing"
    if not already:
        _credit_rest(world, subscription, {})
        body |= {"trial_start": world.now, "status": "trialing"}
    _put(subscription, change.items)
    body |= {"billing_cycle_anchor": trial_end, "trial_end": trial_end}
    start = items.period_of(subscription)[0] if already else world.now
    cycles.start_period(world, subscription, start, trial_end)
    cycles.tell_trial_end(world, subscription)
    if already:
        return None
    wanted = [lines.trial_line(world, subscription, item) for item in change.items]
    return cycles.bill(world, subscription, "subscription_update", wanted)


def _collect(world: World, invoice: Row, params: Json) -> None:
    paused = (standing.of_invoice(world, invoice) or invoice).body.get("pause_collection")
    if paused and paused["behavior"] == "keep_as_draft":
        drafting.hold(world, invoice)
        return
    if params.get("payment_behavior") != "error_if_incomplete":
        ending.close_and_collect(world, invoice)
        return
    try:
        paying.pay(world, invoice)
    except errors.ApiError as error:
        error.keep = False
        raise
