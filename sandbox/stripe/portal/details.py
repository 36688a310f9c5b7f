"""Who the customer is: the name and addresses that stand on the invoices."""

from sandbox.stripe import errors
from sandbox.stripe.hosted import countries
from sandbox.stripe.messages import Response
from sandbox.stripe.portal.visiting import Portal, step
from sandbox.stripe.resources import customers
from sandbox.stripe.store import Json


@step("GET", "details", "customer_update")
def ask(portal: Portal) -> Response:
    return _form(portal, {}, 200)


@step("POST", "details", "customer_update")
def save(portal: Portal) -> Response:
    sent = {name: value.strip() for name, value in portal.visit.sent.items()}
    allowed = portal.features["customer_update"]["allowed_updates"]
    plain = [name for name in ("name", "phone") if name in allowed and name in sent]
    changes: Json = {name: sent[name] or None for name in plain}
    if "email" in allowed and "email" in sent:
        try:
            customers.check_email(sent["email"] or "-")
        except errors.ApiError:
            words = "Enter an email address, such as name@example.com."
            return _form(portal, {"email": words}, 422)
        changes["email"] = sent["email"]
    if "address" in allowed and "line1" in sent:
        address = {name: sent.get(name) for name in customers.ADDRESS}
        changes["address"] = customers.full_address(address)
    previous = portal.world.change(portal.customer, changes)
    if previous:
        portal.world.emit("customer.updated", portal.customer, previous)
    return portal.finish("details")


def _form(portal: Portal, faults: dict[str, str], status: int) -> Response:
    known = portal.customer.body
    address = known["address"] or {}
    values = {name: known[name] or "" for name in ("email", "name", "phone")}
    values |= {name: address.get(name) or "" for name in customers.ADDRESS}
    return portal.render(
        "details",
        status,
        sent={**values, **portal.visit.sent},
        faults=faults,
        allowed=portal.features["customer_update"]["allowed_updates"],
        countries=countries(),
    )
