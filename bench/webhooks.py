"""How fast Stripe gets its answer: signature checked, event durable in Postgres, bell rung, 200."""

from functools import partial
from typing import Any

from bench.ground import Ground, Site, machine
from bench.load import Load, generator, press, replay, write_requests
from bench.pages import check
from bench.registry import Bench, Effort
from bench.report import Notes, Row, beside
from bench.rounds import alternate, middle
from bench.sales import multiply, sell, sign
from sandbox.processes import SandboxError

NAME = "webhooks"
# More than a slice can take, so that no event is sent twice.
EVENTS_PER_SECOND = 2500


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return how many unique signed events are acknowledged per second, and the slowest 1 %."""
    ground.start_stripe()
    site = ground.site(NAME)
    with site.app() as app:
        (event,) = sell(app, ground.stripe_url, 1)
    with site.web() as url:
        check(f"{url}/bench/hello")
        deliver = partial(_deliver, site, url, event)
        deliver(1)
        samples = alternate(
            {
                "hello": partial(press, f"{url}/bench/hello", effort.seconds),
                "ack": partial(deliver, effort.seconds),
            },
            effort.rounds,
        )
    notes.add(machine())
    notes.add(generator())
    notes.add(f"Postgres: {ground.durability()}.")
    notes.add(
        f"{NAME}: every event has an id and a signature of its own and is committed before the"
        " answer; no worker runs."
    )
    return _rows(samples)


def _deliver(site: Site, url: str, event: dict[str, Any], seconds: int) -> Load:
    """Send fresh events for ``seconds``; the inbox is empty again afterwards."""
    requests = site.ground.folder / "webhooks.requests"
    count = EVENTS_PER_SECOND * seconds
    write_requests(requests, url, sign(multiply(event, count)))
    load = replay(url, requests, seconds)
    requests.unlink()
    if load.requests >= count:
        raise SandboxError(f"{count} webhooks were not enough for {seconds} s.")
    with site.ground.postgres.connect(site.database) as connection:
        connection.execute("TRUNCATE stripe_event")
    return load


def _rows(samples: dict[str, list[Load]]) -> list[Row]:
    hello, ack = (
        Row(NAME, name, middle([load.rate for load in loads]), "requests/s")
        for name, loads in samples.items()
    )
    slow_hello, slow_ack = (
        Row(NAME, f"{name}-p99", middle([load.p99 for load in loads]), "ms")
        for name, loads in samples.items()
    )
    return [beside(ack, hello), beside(slow_ack, slow_hello), hello, slow_hello]


BENCH = Bench(NAME, "signed webhooks acknowledged per second", run)
