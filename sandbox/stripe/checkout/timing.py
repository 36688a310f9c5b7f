"""What time brings to sessions: their end, and the bank's late answer to a debit."""

from sandbox.stripe.checkout import expiry, pay
from sandbox.stripe.timers import timer
from sandbox.stripe.world import World


@timer("expire")
def _expire(world: World, id: str) -> None:
    session = world.find("checkout.session", id)
    if session is not None:
        expiry.expire_if_due(world, session)


@timer("async_succeeded")
def _succeed(world: World, id: str) -> None:
    session = world.find("checkout.session", id)
    if session is not None:
        pay.settle(world, session, succeeded=True)


@timer("async_failed")
def _fail(world: World, id: str) -> None:
    session = world.find("checkout.session", id)
    if session is not None:
        pay.settle(world, session, succeeded=False)
