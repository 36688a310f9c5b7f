"""A customer inside the portal: whose it is, what is allowed, and for how long the link holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sandbox.stripe import hosted
from sandbox.stripe.hosted import Visit, sentence
from sandbox.stripe.messages import Response
from sandbox.stripe.portal.flows import LIVE
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

#: A link nobody opened is good for five minutes, an open one for an hour after its last use.
UNOPENED_S, IDLE_S = 300, 3600


@dataclass(frozen=True, slots=True)
class Portal:
    """An open portal; `visit` is what the browser just sent."""

    world: World
    session: Row
    customer: Row
    configuration: Json
    visit: Visit

    @property
    def features(self) -> Json:
        features: Json = self.configuration["features"]
        return features

    @property
    def flow(self) -> Json | None:
        """The one task that the link was made for, until it is done."""
        flow: Json | None = self.session.body["flow"]
        return None if self.session.private.get("done") else flow

    def allows(self, feature: str) -> bool:
        return bool(self.features[feature]["enabled"])

    def address(self, step: str = "", **query: str) -> str:
        path = f"/c/portal/{self.session.id}"
        asked = f"?{urlencode(query)}" if query else ""
        return f"{path}/{step}{asked}" if step else f"{path}{asked}"

    def subscription(self) -> Row | None:
        """The live subscription that the visit names, if it is this customer's."""
        id = self.visit.sent.get("subscription") or self.visit.query.get("subscription")
        row = self.world.find("subscription", id)
        if row is None or row.body["customer"] != self.customer.id:
            return None
        return row if row.body["status"] in LIVE else None

    def render(self, template: str, status: int = 200, /, **values: Any) -> Response:
        text = hosted.render(
            f"portal/{template}.html",
            portal=self,
            shop=hosted.SHOP,
            headline=self.configuration["business_profile"]["headline"],
            back=self.session.body["return_url"],
            customer=self.customer.body,
            **values,
        )
        return Response.html(status, text)

    def go(self, step: str = "", **query: str) -> Response:
        return Response.redirect(self.address(step, **query))

    def finish(self, done: str) -> Response:
        """Go where the link's flow ends, or home, with a word on what was done."""
        flow = self.flow
        if flow is None:
            return self.go(done=done)
        self.session.private["done"] = True
        self.world.save(self.session)
        after = flow["after_completion"]
        if after["type"] == "redirect":
            return Response.redirect(after["redirect"]["return_url"])
        if after["type"] == "hosted_confirmation":
            words = after["hosted_confirmation"]["custom_message"] or DONE[done]
            link = self.session.body["return_url"] or ""
            return sentence(200, "All done", words, link, "Back to the shop")
        return self.go(done=done)


#: What the portal says after a task, by the word in its address.
DONE = {
    "cancel": "Your plan will not renew.",
    "ended": "Your plan has ended.",
    "renew": "Your plan goes on.",
    "stay": "Thank you for staying. The discount is yours.",
    "change": "Your plan is changed.",
    "card": "Your card is saved, and the next charge goes to it.",
    "default": "The next charge goes to this card.",
    "removed": "The card is removed.",
    "details": "Your details are saved.",
}

Handler = Callable[[Portal], Response]


def step(method: str, path: str = "", feature: str | None = None) -> Callable[[Handler], Handler]:
    """Register a page of the portal, closed to those whose configuration lacks its feature."""

    def register(handler: Handler) -> Handler:
        address = f"/c/portal/*/{path}" if path else "/c/portal/*"

        @hosted.page(method, address, "billing_portal.session", "billing portal")
        def enter(world: World, session: Row, visit: Visit) -> Response:
            portal = _enter(world, session, visit)
            if portal is None:
                link = session.body["return_url"] or ""
                words = "Please open it again from the shop."
                return sentence(410, "This link has expired", words, link, "Back to the shop")
            if feature and not portal.allows(feature):
                return sentence(404, "Nothing here", "The shop doesn't offer this here.")
            return handler(portal)

        return handler

    return register


def _enter(world: World, session: Row, visit: Visit) -> Portal | None:
    # Whatever clock the customer lives by, a link ages in real time.
    now = world.machine.clock.now()
    opened = session.private["opened"]
    age = now - session.private["seen"]
    customer = world.find("customer", session.body["customer"])
    if customer is None or customer.deleted or age > (IDLE_S if opened else UNOPENED_S):
        return None
    session.private |= {"opened": opened or now, "seen": now}
    world.save(session)
    world.live_with(customer)
    configuration = world.get("billing_portal.configuration", session.body["configuration"])
    return Portal(world, session, customer, configuration.body, visit)
