"""Whether every event that the shop acknowledged is in its inbox, before any sweep looks for it."""

from dataclasses import dataclass, field

from sandbox.clock_run.site import Site
from sandbox.clock_run.stripe import Json, Stripe

HAVE = "SELECT id FROM stripe_event WHERE id = ANY(%s)"


@dataclass(slots=True)
class Inbox:
    """Looks at the events since its last look; ``wanted`` are the types of the endpoint."""

    site: Site
    stripe: Stripe
    wanted: frozenset[str]
    breaches: list[str] = field(default_factory=list)
    seen: int = 0
    _latest: str | None = None
    _missing: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Hold what was delivered since the last look against the shop's rows."""
        new = {event["id"] for event in self._news() if event["type"] in self.wanted}
        self.seen += len(new)
        asked = new | self._missing
        if not asked:
            return
        missing = asked - {id for (id,) in self.site.ask(HAVE, list(asked))}
        self._missing = missing & self.stripe.list_undelivered() if missing else set()
        lost = missing - self._missing
        self.breaches += [f"Event {id} was acknowledged and is not kept." for id in sorted(lost)]

    def _news(self) -> list[Json]:
        """Events since the last look, in whatever order."""
        if self._latest is None:
            found = list(self.stripe.all("events"))
            self._latest = found[0]["id"] if found else None
            return found
        found, more = [], True
        while more:
            page = self.stripe.get("events", limit=100, ending_before=self._latest)
            found += page["data"]
            more = page["has_more"]
            # Pages come newest first.
            self._latest = page["data"][0]["id"] if page["data"] else self._latest
        return found
