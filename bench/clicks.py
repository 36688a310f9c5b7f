"""How fast a link in a mail leads on, beside a bare Flask redirect; and what Postgres away costs.

Each click is noted on the disk before it is answered, and carried to Redis a moment later. Nothing
is left out for the bench.
"""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import requests

from bench.ground import Ground, Site, machine
from bench.load import Load, generator, press
from bench.registry import Bench, Effort
from bench.report import Notes, Row, beside
from bench.rounds import alternate, middle
from sandbox.processes import SandboxError

NAME = "clicks"
TARGET = "https://elsewhere.example/spring?utm_campaign=bench"
BARE = "/bench/redirect"
GOAL = 0.7
COUNTED = 1000
READERS = 8
# By which the counted clicks are told from the load.
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 counted"


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return redirects per second and their slowest 1 %, with every event accounted for."""
    site = ground.site(NAME)
    path = make_mail(site)
    with site.web() as url:
        for each in (path, BARE):
            check(url + each)
        samples = measure(url, path, effort)
        away = click_without_postgres(ground, url, path)
    kept = count_kept(site)
    if kept != COUNTED:
        raise SandboxError(f"{COUNTED} clicks were answered, {kept} are in Postgres.")
    notes.add(machine())
    notes.add(generator())
    notes.add(
        f"{NAME}: medians of {effort.rounds} alternating rounds of {effort.seconds} s, on the"
        f" shop's own server settings; each click is noted on the disk before it is answered."
        f" Goal: {GOAL:.0%} of the bare redirect's rate."
    )
    notes.add(
        f"{NAME}: with Postgres stopped {COUNTED} clicks were led on, the slowest 1 % in"
        f" {away:.0f} ms; when it was back, {kept} of them were in Postgres, each once."
    )
    return rows(samples)


def make_mail(site: Site) -> str:
    """Send one mail to one reader, as far as its links are concerned; returns a link's path."""
    from webapp.campaigns.codes import write_code
    from webapp.campaigns.models import Email, EmailLink, EmailRecipient, EmailState
    from webapp.campaigns.services.tracking import publish_links
    from webapp.core import clock
    from webapp.core.db import db

    with site.app() as app, app.app_context():
        email = Email(
            name="Bench",
            state=EmailState.SENT,
            started_at=clock.now(),
            links=[EmailLink(number=n, url=TARGET) for n in range(1, 41)],
        )
        db.session.add(email)
        db.session.flush()
        reader = EmailRecipient(
            email_id=email.id, secret=secrets.randbits(63), address="alice@example.com"
        )
        db.session.add(reader)
        db.session.flush()
        publish_links(email.id)
        code = write_code(email.id, reader.id, reader.secret)
        db.session.commit()
    return f"/c/{code}/7"


def check(url: str) -> None:
    """Refuse to measure anything but a redirect to the registered address."""
    answer = requests.get(url, timeout=20, allow_redirects=False)
    if answer.status_code != 302 or answer.headers.get("Location") != TARGET:
        raise SandboxError(f"{url} answers {answer.status_code}: {answer.text[:300]}")


def measure(url: str, path: str, effort: Effort) -> dict[str, list[Load]]:
    paths = {"bare-redirect": BARE, "click": path}
    alternate({name: partial(press, url + path, 1) for name, path in paths.items()}, 1)
    timed = {name: partial(press, url + path, effort.seconds) for name, path in paths.items()}
    return alternate(timed, effort.rounds)


def click_without_postgres(ground: Ground, url: str, path: str) -> float:
    """Stop Postgres, follow links, start it again; returns the slowest 1 % in milliseconds.

    It comes back on another port, which the web processes never learn: nothing they held reaches
    Postgres by them.
    """
    ground.postgres.stop()
    try:
        with ThreadPoolExecutor(READERS) as readers:
            took = sorted(readers.map(partial(_follow, url + path), range(COUNTED)))
    finally:
        ground.postgres.start()
    return took[int(len(took) * 0.99)] * 1000


def _follow(url: str, _number: int) -> float:
    began = time.perf_counter()
    answer = requests.get(url, timeout=20, allow_redirects=False, headers={"User-Agent": AGENT})
    if answer.headers.get("Location") != TARGET:
        raise SandboxError(f"Without Postgres {url} answers {answer.status_code}.")
    return time.perf_counter() - began


def count_kept(site: Site) -> int:
    """Drain what was held; returns how many of the counted clicks are rows."""
    from jobs.campaigns import drain_tracking

    with site.app() as app, app.app_context():
        drain_tracking()
    with site.ground.postgres.connect(site.database) as connection:
        statement = "SELECT count(*) FROM tracking_event WHERE agent = %s"
        found = connection.execute(statement, (AGENT,)).fetchone()
    return int(found[0]) if found else 0


def rows(samples: dict[str, list[Load]]) -> list[Row]:
    bare = Row(NAME, "bare-redirect", _middle(samples, "bare-redirect", "rate"), "requests/s")
    click = Row(NAME, "click", _middle(samples, "click", "rate"), "requests/s")
    slow_bare = Row(NAME, "bare-redirect-p99", _middle(samples, "bare-redirect", "p99"), "ms")
    slow = Row(NAME, "click-p99", _middle(samples, "click", "p99"), "ms")
    return [bare, beside(click, bare), slow_bare, beside(slow, slow_bare)]


def _middle(samples: dict[str, list[Load]], name: str, what: str) -> float:
    return middle([float(getattr(load, what)) for load in samples[name]])


BENCH = Bench(NAME, "links followed per second beside a bare Flask redirect", run)
