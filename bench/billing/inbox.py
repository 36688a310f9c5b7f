"""Stripe's events into a shop and through it: posted as Stripe does, worked off by workers."""

import json
import time
from collections.abc import Sequence

from flask import Flask

from bench.billing.stream import Event, Stream, Worked
from bench.ground import Ground, Site
from bench.load import Load, send_counting, together, write_requests
from bench.sales import PATH, sign
from sandbox.processes import SandboxError, tail

PATIENCE_SECONDS = 240
SLICE = 1000
LOOK_SECONDS = 0.02
BELL_SECONDS = 5
DRAIN = "jobs.payments.drain_events"


def post(ground: Ground, url: str, events: Sequence[Event]) -> Load:
    """Send events to a shop, each once; SandboxError if one isn't acknowledged."""
    load, refused = send(ground, url, PATH, events)
    if refused:
        raise SandboxError(f"{refused} of {len(events)} webhooks were not acknowledged.")
    return load


def send(ground: Ground, url: str, path: str, events: Sequence[Event]) -> tuple[Load, int]:
    """Send events, each once; returns also how many were refused.

    In slices, as signatures are good for five minutes only.
    """
    requests = ground.folder / "webhooks.requests"
    sent: list[tuple[Load, int]] = []
    for start in range(0, len(events), SLICE):
        bodies = [json.dumps(event).encode() for event in events[start : start + SLICE]]
        write_requests(requests, url, sign(bodies, path))
        sent.append(send_counting(url, requests, PATIENCE_SECONDS))
        requests.unlink()
    return together([load for load, _ in sent]), sum(refused for _, refused in sent)


def work_off(site: Site, stream: Stream, workers: int) -> Worked:
    """Fill the inbox, then let warm workers empty it."""
    with site.web() as url:
        for part in stream.warm:
            post(site.ground, url, part)
        ack = post(site.ground, url, stream.events)
    _hold(site, [*stream.warm[1], *stream.events])
    with site.app() as app, site.workers_alone(workers):
        for part in ([], stream.warm[1]):
            _release(site, part)
            _ring(app, 1)
            wait(site)
        began = time.monotonic()
        _release(site, stream.events)
        _ring(app, workers)
        wait(site)
        return Worked(ack, len(stream.events), time.monotonic() - began)


def pass_through(site: Site, stream: Stream, workers: int) -> Worked:
    """Post events while warm workers take them out; until the last one is done."""
    with site.web() as url, site.workers_alone(workers):
        for part in stream.warm:
            post(site.ground, url, part)
            wait(site)
        began = time.monotonic()
        ack = post(site.ground, url, stream.events)
        wait(site)
        return Worked(ack, len(stream.events), time.monotonic() - began)


def _hold(site: Site, events: Sequence[Event]) -> None:
    _postpone(site, events, "1 day")


def _release(site: Site, events: Sequence[Event]) -> None:
    _postpone(site, events, "-1 day")


def _postpone(site: Site, events: Sequence[Event], interval: str) -> None:
    with site.ground.postgres.connect(site.database) as connection:
        connection.execute(
            "UPDATE stripe_event SET next_attempt_at = next_attempt_at + %s::interval"
            " WHERE id = ANY(%s)",
            (interval, [event["id"] for event in events]),
        )


def _ring(app: Flask, times: int) -> None:
    """Ring for each worker, as a stream of webhooks does: again when the bell was heard."""
    from webapp.core.queue import ring
    from webapp.core.redis import redis_client
    from webapp.core.state import current_fork

    with app.app_context():
        bell = current_fork().redis_key("ring", DRAIN)
        for _ in range(times):
            ring(DRAIN)
            deadline = time.monotonic() + BELL_SECONDS
            while redis_client().exists(bell) and time.monotonic() < deadline:
                time.sleep(0.001)


def wait(site: Site) -> None:
    """Return when nothing that is due is left; SandboxError if that takes too long."""
    due = "SELECT count(*) FROM stripe_event WHERE state = 'pending' AND attempts < 3"
    due += " AND next_attempt_at < now() + interval '1 hour'"
    deadline = time.monotonic() + PATIENCE_SECONDS
    with site.ground.postgres.connect(site.database) as connection:
        while (row := connection.execute(due).fetchone()) and row[0]:
            if time.monotonic() > deadline:
                raise SandboxError(f"{row[0]} events wait after {PATIENCE_SECONDS} s. {_log(site)}")
            time.sleep(LOOK_SECONDS)


def check(site: Site, stream: Stream) -> None:
    """Refuse to have measured anything but every event done."""
    posted = sum(len(part) for part in (*stream.warm, stream.events))
    states_of = "SELECT state, count(*) FROM stripe_event GROUP BY 1"
    with site.ground.postgres.connect(site.database) as connection:
        states = connection.execute(states_of).fetchall()
        found = {str(state): int(number) for state, number in states}
    if found != {"done": posted}:
        raise SandboxError(f"{posted} events were posted and became {found}. {_log(site)}")


def _log(site: Site) -> str:
    log = tail(site.ground.folder / "logs" / f"worker-{site.database}-0.log", 30)
    return f"The end of the first worker's log:\n{log}"
