"""The end of a session that nobody completed, and what it takes with it."""

from sandbox.stripe.checkout.payment import open_intent
from sandbox.stripe.resources import payment_intents, setup_intents
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

DAY = 86_400


def expire(world: World, session: Row) -> None:
    """Close an open session for good, with its unfinished payment."""
    intent = open_intent(world, session)
    if intent and intent.body["status"] not in ("succeeded", "processing", "canceled"):
        if intent.kind == setup_intents.KIND:
            setup_intents.cancel_setup(world, intent, "abandoned")
        else:
            payment_intents.cancel_intent(world, intent, "expired")
    changes: Json = {"status": "expired", "url": None}
    after = session.body["after_expiration"]
    if after and after["recovery"]["enabled"]:
        recovery = {
            **after["recovery"],
            "expires_at": world.now + 30 * DAY,
            "url": f"{world.base_url}/c/recover/{session.id}",
        }
        changes["after_expiration"] = {"recovery": recovery}
    world.change(session, changes)
    world.drop_timers(session.id)
    world.emit("checkout.session.expired", session)


def expire_if_due(world: World, session: Row) -> Row:
    """Close a session whose time is over, for whoever looks before the ticker does."""
    if session.body["status"] == "open" and session.body["expires_at"] <= world.now:
        expire(world, session)
    return session
