"""How long a session may stay open, and what its end takes with it."""

from sandbox.stripe import errors
from sandbox.stripe.resources import payment_intents
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

DAY = 86_400
_SHORTEST = 30 * 60


def check_expiry(world: World, params: Json) -> None:
    """Raise ApiError unless `expires_at` is 30 minutes to 24 hours ahead, or absent."""
    wanted = params.get("expires_at")
    if wanted is None:
        return
    # A second of grace: the caller took its time before ours.
    if wanted < world.now + _SHORTEST - 2:
        raise errors.invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            "expires_at",
        )
    if wanted > world.now + DAY + 2:
        raise errors.invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            "expires_at",
        )


def expire(world: World, session: Row) -> None:
    """Close an open session for good, with its unfinished payment."""
    intent = world.find("payment_intent", session.body["payment_intent"])
    if intent and intent.body["status"] not in ("succeeded", "processing", "canceled"):
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
