"""Leaving a plan: when it ends, why, and perhaps an offer to stay."""

from sandbox.stripe import money
from sandbox.stripe.billing import subscribing
from sandbox.stripe.hosted import date
from sandbox.stripe.messages import Response
from sandbox.stripe.portal import plans
from sandbox.stripe.portal.features import REASONS
from sandbox.stripe.portal.visiting import Portal, step
from sandbox.stripe.store import Json, Row


@step("GET", "cancel", "subscription_cancel")
def ask(portal: Portal) -> Response:
    row = portal.subscription()
    if row is None or plans.ends_at(row) is not None:
        return portal.go()
    settings = portal.features["subscription_cancel"]
    reasons = settings["cancellation_reason"]
    return portal.render(
        "cancel",
        plan=plans.shown(portal.world, row),
        at_once=settings["mode"] == "immediately",
        end=date(plans.period_end(row)),
        reasons=[(r, REASONS[r]) for r in reasons["options"]] if reasons["enabled"] else [],
        offer=_offer(portal),
    )


def _offer(portal: Portal) -> str:
    """What the shop gives to those who stay, in words; empty without an offer."""
    coupon = portal.world.find("coupon", _offered(portal))
    if coupon is None or coupon.deleted:
        return ""
    return offer_words(coupon.body)


def offer_words(coupon: Json) -> str:
    """`20% off for 3 months`."""
    if coupon["percent_off"] is not None:
        amount = f"{coupon['percent_off']:g}% off"
    else:
        amount = f"{money.written(coupon['amount_off'], coupon['currency'])} off"
    months = coupon["duration_in_months"]
    return {
        "once": f"{amount} your next payment",
        "forever": f"{amount} for good",
        "repeating": f"{amount} for {months} month{'' if months == 1 else 's'}",
    }[coupon["duration"]]


def _offered(portal: Portal) -> str | None:
    flow = portal.flow or {}
    retention = (flow.get("subscription_cancel") or {}).get("retention") or {}
    offer = retention.get("coupon_offer") or {}
    id: str | None = offer.get("coupon")
    return id


@step("POST", "cancel", "subscription_cancel")
def cancel(portal: Portal) -> Response:
    row = portal.subscription()
    if row is None:
        return portal.go()
    if portal.visit.sent.get("action") == "stay" and _offered(portal):
        change: Json = {"discounts": [{"coupon": _offered(portal)}]}
        subscribing.update(portal.world, row, change)
        return portal.finish("stay")
    details = _details(portal)
    if portal.features["subscription_cancel"]["mode"] == "immediately":
        return _at_once(portal, row, details)
    if plans.ends_at(row) is None:
        # If the customer clicks twice, the first click decided.
        change = {**_end_of_period(row), "cancellation_details": details}
        subscribing.update(portal.world, row, change)
    return portal.finish("cancel")


def _end_of_period(row: Row) -> Json:
    """In flexible mode the portal names the day and leaves `cancel_at_period_end` false."""
    if row.body["billing_mode"]["type"] == "flexible":
        return {"cancel_at": plans.period_end(row)}
    return {"cancel_at_period_end": True}


def _at_once(portal: Portal, row: Row, details: Json) -> Response:
    behavior = portal.features["subscription_cancel"]["proration_behavior"]
    subscribing.cancel(
        portal.world,
        row,
        details=details,
        prorate=behavior != "none",
        invoice_now=behavior == "always_invoice",
    )
    return portal.finish("ended")


def _details(portal: Portal) -> Json:
    sent = portal.visit.sent
    details: Json = {}
    if sent.get("feedback") in REASONS:
        details["feedback"] = sent["feedback"]
    if sent.get("comment", "").strip():
        details["comment"] = sent["comment"].strip()[:5000]
    return details
