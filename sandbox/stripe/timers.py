"""What time brings about: each module names its own timers here, and the machine runs them."""

from collections.abc import Callable

from sandbox.stripe.world import World

Happening = Callable[[World, str], None]
_HAPPENINGS: dict[str, Happening] = {}

#: The timer by which a test clock waits to be moved, and what happens once it is.
ADVANCE = "advance"
ARRIVE = "arrive"


def timer(what: str) -> Callable[[Happening], Happening]:
    """Register `happening(world, id)` for timers of a name; an object that is gone is no error."""

    def register(happening: Happening) -> Happening:
        _HAPPENINGS[what] = happening
        return happening

    return register


def happen(world: World, id: str, what: str) -> None:
    _HAPPENINGS[what](world, id)
