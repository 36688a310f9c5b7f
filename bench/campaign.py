"""How fast a campaign leaves the house, beside the bare connection and what Django people use.

A send is measured from its first lease to its last: claiming in Postgres, writing each message,
hearing each reply and writing it down are all in it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from flask import Flask

from bench.ground import Ground, Site, machine
from bench.mail import words
from bench.mail.debian_sink import mail_server
from bench.mail.rivals import time_django, time_raw
from bench.registry import Bench, Effort
from bench.report import Notes, Row, beside
from bench.rounds import alternate, middle
from sandbox.processes import SandboxError

NAME = "campaign"
READERS = 20_000
SIZES = {"rss-1k": 1_000, "rss-100k": 100_000, "rss-1m": 1_000_000}
RIVALS = {"post-office": 2_000, "mailer": 1_000}
MOST_ROUNDS = 5
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 1800
STATE = "SELECT state FROM email WHERE id = %s"
SPAN = (
    "SELECT coalesce(sum(sent), 0), extract(epoch FROM max(ended_at) - min(created_at))"
    " FROM send_lease WHERE email_id = %s"
)


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return mails a second, the seconds of populating a million, and the workers' memory."""
    # The workers' other duties ask it now and then, and would wait long for nobody.
    ground.start_stripe()
    with mail_server(ground, notes) as url:
        rates = _rates(ground, url, min(effort.rounds, MOST_ROUNDS), notes)
        sizes = _sizes(ground, url)
    notes.add(machine())
    notes.add(f"Postgres: {ground.durability()}.")
    return [*rates, *sizes]


def _rates(ground: Ground, url: str, rounds: int, notes: Notes) -> list[Row]:
    site = _site(ground, NAME, url)
    words.fill(site, READERS)
    port = urlsplit(url).port or 25
    with site.app() as app:
        message = ground.folder / "message.eml"
        message.write_bytes(_sample(app))
        contestants: dict[str, Callable[[], float]] = {
            "send-1-worker": partial(_send, site, app, 1),
            "send-2-workers": partial(_send, site, app, 2),
            "raw-pipelined": partial(_raw, "pipelined", port, message),
            "raw-smtplib": partial(_raw, "smtplib", port, message),
            **{
                f"django-{way}": partial(_django, way, ground, port, message, count)
                for way, count in RIVALS.items()
            },
        }
        samples = alternate(contestants, rounds)
    notes.add(
        f"{NAME}: medians of {rounds} alternating rounds of {READERS:,} mails of"
        f" {message.stat().st_size:,} bytes with {words.LINKS} links each, all processes on the"
        f" same cores. django-post-office sends {RIVALS['post-office']:,} a round over two"
        f" processes, django-mailer {RIVALS['mailer']:,}."
    )
    rows = {name: Row(NAME, name, middle(found), "mails/s") for name, found in samples.items()}
    ceiling = rows["raw-pipelined"]
    return [row if row is ceiling else beside(row, ceiling) for row in rows.values()]


def _site(ground: Ground, name: str, url: str) -> Site:
    return replace(ground.site(name), changes={"BULK_SMTP_URL": url})


def _sample(app: Flask) -> bytes:
    email_id = words.make_ready(app)
    words.populate(app, email_id)
    return words.sample(app, email_id)


def _send(site: Site, app: Flask, workers: int) -> float:
    """Return the mails a second of one whole send by so many workers."""
    email_id = words.make_ready(app)
    count = words.populate(app, email_id)
    with site.workers(workers):
        words.start(app, email_id)
        _wait(site, email_id)
    return _rate(site, email_id, count)


def _rate(site: Site, email_id: int, count: int) -> float:
    with site.ground.postgres.connect(site.database) as connection:
        row = connection.execute(SPAN, (email_id,)).fetchone()
    if row is None or int(row[0]) != count:
        raise SandboxError(f"{count} mails were to be sent and {row and row[0]} were.")
    return count / float(row[1])


def _wait(site: Site, email_id: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with site.ground.postgres.connect(site.database) as connection:
        connection.autocommit = True
        while True:
            row = connection.execute(
                "SELECT state FROM email WHERE id = %s", (email_id,)
            ).fetchone()
            if row == ("sent",):
                return
            if time.monotonic() > deadline:
                raise SandboxError(f"The mail is still {row} after {PATIENCE_SECONDS} s.")
            time.sleep(LOOK_SECONDS)


def _raw(way: str, port: int, message: Path) -> float:
    return READERS / time_raw(way, port, READERS, message)


def _django(way: str, ground: Ground, port: int, message: Path, count: int) -> float:
    return count / time_django(way, ground, port, count, message)


def _sizes(ground: Ground, url: str) -> list[Row]:
    """Send to a thousand, a hundred thousand and a million; look at the workers' memory."""
    rows = []
    for name, count in SIZES.items():
        site = _site(ground, name.replace("-", "_"), url)
        words.fill(site, count)
        with site.app() as app, site.workers(2):
            email_id = words.make_ready(app)
            began = time.monotonic()
            added = words.populate(app, email_id)
            seconds = time.monotonic() - began
            if added != count:
                raise SandboxError(f"{count} readers were to be populated and {added} were.")
            with _watched(site) as peak:
                words.start(app, email_id)
                _wait(site, email_id)
        rows.append(Row(NAME, name, peak(), "MiB"))
        if count == SIZES["rss-1m"]:
            rows.insert(0, Row(NAME, "populate-1m", round(seconds, 2), "s"))
        ground.postgres.drop_database(site.database)
    return rows


@contextlib.contextmanager
def _watched(site: Site) -> Iterator[Callable[[], float]]:
    """Yield what tells, after the block, the most memory that one of the workers ever had."""
    prefix = f"worker-{site.database}-"
    workers = [child for child in site.ground.children if child.name.startswith(prefix)]
    peaks: list[float] = []
    yield lambda: max(peaks)
    for child in workers:
        family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
        peaks.append(max(_peak(process.pid) for process in family))


def _peak(pid: int) -> float:
    """Return the largest resident set of a process so far, in MiB (proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return round(psutil.Process(pid).memory_info().rss / 1024**2, 1)
    lines = status.read_text(encoding="ascii").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return round(int(kibibytes) / 1024, 1)


BENCH = Bench(
    NAME, "mails a second of a campaign, its million codes, its memory", run, by_name_only=True
)
