"""The portal's first page: plans, cards, invoices, and who the customer is."""

from sandbox.stripe import money
from sandbox.stripe.billing import subscribing
from sandbox.stripe.hosted import country_names, date
from sandbox.stripe.messages import Response
from sandbox.stripe.portal import cards, plans
from sandbox.stripe.portal.visiting import DONE, Portal, step
from sandbox.stripe.store import Json

_FIRST_INVOICES = 6
_STEPS = {
    "customer_update": "details",
    "payment_method_update": "card",
    "subscription_cancel": "cancel",
    "subscription_update": "change",
    "subscription_update_confirm": "confirm",
}
_STATUS = {
    "draft": "Coming",
    "open": "To pay",
    "paid": "Paid",
    "uncollectible": "Not paid",
    "void": "Cancelled",
}


@step("GET")
def home(portal: Portal) -> Response:
    if portal.flow is not None:
        return _follow(portal, portal.flow)
    world = portal.world
    invoices = _invoices(portal) if portal.allows("invoice_history") else []
    whole = "all" in portal.visit.query
    return portal.render(
        "home",
        done=DONE.get(portal.visit.query.get("done", ""), ""),
        plans=[plans.shown(world, row) for row in plans.live(world, portal.customer)],
        cards=cards.shown(portal),
        invoices=invoices if whole else invoices[:_FIRST_INVOICES],
        more=0 if whole else max(0, len(invoices) - _FIRST_INVOICES),
        address_lines=_address(portal.customer.body["address"]),
    )


def _follow(portal: Portal, flow: Json) -> Response:
    """A link made for one task leads there at once."""
    data = flow[flow["type"]] if flow["type"] != "payment_method_update" else None
    subscription = (data or {}).get("subscription")
    query = {"subscription": subscription} if subscription else {}
    return portal.go(_STEPS[flow["type"]], **query)


def _invoices(portal: Portal) -> list[Json]:
    rows = portal.world.rows(
        "invoice",
        ["json_extract(body, '$.customer') = ?", "json_extract(body, '$.status') != 'draft'"],
        [portal.customer.id],
    )
    return [
        {
            "date": date(row.body["created"]),
            "amount": money.written(row.body["total"], row.body["currency"]),
            "status": _STATUS[row.body["status"]],
            "number": row.body["number"],
            "url": row.body["hosted_invoice_url"],
            "pdf": row.body["invoice_pdf"],
        }
        for row in rows
    ]


def _address(address: Json | None) -> list[str]:
    if not address:
        return []
    city = " ".join(filter(None, [address["postal_code"], address["city"]]))
    country = country_names().get(address["country"], address["country"])
    parts = (address["line1"], address["line2"], city, address["state"], country)
    return [part for part in parts if part]


@step("POST", "renew", "subscription_cancel")
def renew(portal: Portal) -> Response:
    """Take back a cancellation that has not happened yet."""
    row = portal.subscription()
    if row is not None and plans.ends_at(row) is not None:
        by_period = row.body["cancel_at_period_end"]
        taken_back: Json = {"cancel_at_period_end": False} if by_period else {"cancel_at": None}
        subscribing.update(portal.world, row, taken_back)
        return portal.finish("renew")
    return portal.go()
