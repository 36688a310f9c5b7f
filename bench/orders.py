"""How fast money becomes orders: from the webhook to the order fulfilled and its mail handed over.

The clock starts with the first webhook's delivery and stops when every order is in fulfilment and
the mail server has taken every confirmation.
"""

import json
import time
from dataclasses import replace
from functools import partial

from bench.ground import Ground, Site, machine
from bench.load import send_all, write_requests
from bench.registry import Bench, Effort
from bench.report import Notes, Row, beside
from bench.rounds import alternate, middle
from bench.sales import LINES, sell, sign
from sandbox.ports import HOST, answers, free_port
from sandbox.processes import SandboxError, tail

NAME = "orders"
DONE = (
    "SELECT (SELECT count(*) FROM \"order\" WHERE status = 'in_fulfilment'),"
    " (SELECT count(*) FROM mail WHERE state = 'sent')"
)
PATIENCE_SECONDS = 120
LOOK_SECONDS = 0.02


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return orders fulfilled per second with one and with two workers."""
    ground.start_stripe()
    site = ground.site(NAME)
    site = replace(site, changes={"SMTP_URL": f"smtp://{HOST}:{_start_sink(ground)}"})
    with site.web() as url:
        samples = alternate(
            {
                "orders-1-worker": partial(_fulfil, site, url, effort.count, 1),
                "orders-2-workers": partial(_fulfil, site, url, effort.count, 2),
            },
            effort.rounds,
        )
    notes.add(machine())
    notes.add(f"Postgres: {ground.durability()}.")
    notes.add(
        f"{NAME}: medians of {effort.rounds} alternating rounds of {effort.count} orders of {LINES}"
        " lines; web, workers, clock, Postgres, Redis, the Stripe sandbox (one refetch per order)"
        " and a mail server that keeps nothing all share the cores."
    )
    one, two = (
        Row(NAME, name, middle([effort.count / seconds for seconds in times]), "orders/s")
        for name, times in samples.items()
    )
    return [one, beside(two, one)]


def _start_sink(ground: Ground) -> int:
    port = free_port()
    child = ground.spawn("sink", ["-m", "bench.sink", "--port", str(port)])
    ground.wait(child, lambda: answers(port))
    return port


def _fulfil(site: Site, url: str, count: int, workers: int) -> float:
    """Return the seconds from the first webhook to the last order and its mail."""
    with site.app() as app:
        events = sell(app, site.ground.stripe_url, count)
    requests = site.ground.folder / "orders.requests"
    with site.workers(workers):
        write_requests(requests, url, sign([json.dumps(event).encode() for event in events]))
        orders, mails = _done(site)
        began = time.monotonic()
        send_all(url, requests, PATIENCE_SECONDS)
        _wait(site, orders + count, mails + count)
        return time.monotonic() - began


def _done(site: Site) -> tuple[int, int]:
    with site.ground.postgres.connect(site.database) as connection:
        row = connection.execute(DONE).fetchone()
    assert row
    return int(row[0]), int(row[1])


def _wait(site: Site, orders: int, mails: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with site.ground.postgres.connect(site.database) as connection:
        while True:
            row = connection.execute(DONE).fetchone()
            if row == (orders, mails):
                return
            if time.monotonic() > deadline:
                log = tail(site.ground.folder / "logs" / f"worker-{site.database}-0.log")
                raise SandboxError(
                    f"{row} orders and mails are done instead of {orders} and {mails} after"
                    f" {PATIENCE_SECONDS} s. The end of the first worker's log:\n{log}"
                )
            time.sleep(LOOK_SECONDS)


BENCH = Bench(NAME, "paid sessions to fulfilled orders per second", run)
