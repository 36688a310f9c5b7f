"""Which server setting suits the shop: the same pages under several, also while others hold it up.

A checkout waits for Stripe, and a browser opens connections before it has anything to ask. How much
of the shop stands still meanwhile is part of the choice.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from bench.ground import Ground, machine
from bench.load import Load, generator, press
from bench.pages import check, page_paths
from bench.registry import Bench, Effort
from bench.report import Notes, Row, beside
from bench.rounds import alternate, middle

NAME = "servers"
WAITERS = 4
IDLERS = 4
# Name: worker processes, further options. The first is what the others are set against.
SETTINGS: dict[str, tuple[int, tuple[str, ...]]] = {
    "sync-2": (2, ("--worker-class", "sync", "--threads", "1")),
    "sync-4": (4, ("--worker-class", "sync", "--threads", "1")),
    "sync-8": (8, ("--worker-class", "sync", "--threads", "1")),
    "gthread-2x4": (2, ("--worker-class", "gthread", "--threads", "4")),
    "gthread-2x8": (2, ("--worker-class", "gthread", "--threads", "8")),
}


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return requests per second of the bare view and of pages under each setting."""
    site = ground.site(NAME)
    pages = page_paths(site)
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        urls = {
            name: stack.enter_context(site.web(workers, options))
            for name, (workers, options) in SETTINGS.items()
        }

        def compare(what: str, path: str, how: Callable[[str, int], Load]) -> None:
            for url in urls.values():
                check(url + path)
                press(url + path, 1)
            rows.extend(_compare(what, {n: url + path for n, url in urls.items()}, effort, how))

        compare("hello", "/bench/hello", press)
        compare("list", pages["list"], press)
        compare("product", pages["product"], press)
        compare(f"list-while-{WAITERS}-wait", pages["list"], _press_beside_waiters)
        compare(f"list-while-{IDLERS}-idle", pages["list"], _press_beside_idlers)
    notes.add(machine())
    notes.add(generator())
    notes.add(f"{NAME}: medians of {effort.rounds} alternating rounds of {effort.seconds} s.")
    return rows


def _compare(
    what: str, urls: Mapping[str, str], effort: Effort, how: Callable[[str, int], Load]
) -> list[Row]:
    samples = alternate(
        {name: partial(how, url, effort.seconds) for name, url in urls.items()}, effort.rounds
    )
    rows = [
        Row(NAME, f"{what} {name}", middle([load.rate for load in loads]), "requests/s")
        for name, loads in samples.items()
    ]
    return [rows[0], *(beside(row, rows[0]) for row in rows[1:])]


def _press_beside_waiters(url: str, seconds: int) -> Load:
    """The load on a page while others keep requests waiting that take a second each."""
    wait = url.rpartition("/")[0] + "/bench/wait"
    waiters = threading.Thread(target=press, args=(wait, seconds + 1, WAITERS))
    waiters.start()
    try:
        return press(url, seconds)
    finally:
        waiters.join()


def _press_beside_idlers(url: str, seconds: int) -> Load:
    """The load on a page while others hold connections open and say nothing."""
    parts = urlsplit(url)
    with contextlib.ExitStack() as stack:
        for _ in range(IDLERS):
            address = parts.hostname or "", parts.port or 80
            stack.enter_context(socket.create_connection(address, timeout=5))
        return press(url, seconds)


BENCH = Bench(NAME, "the same pages under several server settings", run, by_name_only=True)
