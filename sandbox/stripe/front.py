"""The sandbox's own front page: the latest sessions and webhooks."""

import json
from typing import TYPE_CHECKING

from sandbox.stripe.hosted import plain_page, render
from sandbox.stripe.messages import Response

if TYPE_CHECKING:
    from sandbox.stripe.machine import Machine


@plain_page("/")
def front(machine: "Machine") -> Response:
    rows = machine.store.all(
        "SELECT body FROM objects WHERE kind='checkout.session' ORDER BY seq DESC LIMIT 20"
    )
    sessions = [json.loads(body) for (body,) in rows]
    deliveries = machine.courier.listed(None, 20)
    return Response.html(200, render("front.html", sessions=sessions, deliveries=deliveries))
