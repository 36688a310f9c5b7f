"""dj-stripe on the shop's server settings: same workers, same Postgres, same Stripe sandbox."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import LiteralString

import requests

from bench.billing.inbox import send
from bench.billing.stream import Stream, Worked
from bench.ground import STRIPE_KEY, WEBHOOK_SECRET, Ground, workers_answer
from bench.peer_venv import PEERS, peers_python
from sandbox.ports import HOST, free_port
from sandbox.processes import ROOT, SandboxError

ENDPOINT = "6f0b7f4e-55f5-4c1e-9a56-2f9d53b6c1aa"
PATH = f"/stripe/webhook/{ENDPOINT}/"
ORIGINAL, COPY = "bench_peer_stripe", "bench_peer_stripe_round"
SET_UP_SECONDS = 600
RIVAL = "dj-stripe"


@dataclass(frozen=True, slots=True)
class Rival:
    """A Django project with dj-stripe, its tables made and what was at Stripe before known."""

    ground: Ground
    stream: Stream
    refused: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)

    def set_up(self) -> None:
        """Make the database that each round takes a copy of."""
        postgres = self.ground.postgres
        if ORIGINAL in postgres.database_names():
            postgres.drop_database(ORIGINAL)
        postgres.create_database(ORIGINAL)
        done = subprocess.run(
            [str(peers_python()), str(PEERS / "django_stripe.py")],
            env=self._environment(ORIGINAL),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SET_UP_SECONDS,
            check=False,
        )
        if done.returncode:
            raise SandboxError(f"dj-stripe couldn't be set up: {done.stderr.strip()[-1000:]}")

    def _environment(self, database: str) -> dict[str, str]:
        ours = ("DJANGO_", "PEER_", "DATABASE_", "GUNICORN_", "WEB_", "STRIPE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        answer = requests.post(
            f"{self.ground.stripe_url}/_sandbox/keys", json={"key": STRIPE_KEY}, timeout=20
        )
        return {
            **kept,
            "PYTHONPATH": str(PEERS),
            "PEER_DATABASE_URL": self.ground.postgres.url(database),
            "PEER_STRIPE_URL": self.ground.stripe_url,
            "PEER_STRIPE_KEY": STRIPE_KEY,
            "PEER_STRIPE_ACCOUNT": answer.json()["account"],
            "PEER_ENDPOINT": ENDPOINT,
            "PEER_SECRET": WEBHOOK_SECRET,
        }

    @contextlib.contextmanager
    def web(self) -> Iterator[str]:
        """Serve a fresh copy as the shop is served; yields the address."""
        self.ground.copy_database(ORIGINAL, COPY)
        count, port = os.cpu_count() or 1, free_port()
        env = {**self._environment(COPY), "HOST": HOST, "PORT": str(port)}
        env["WEB_CONCURRENCY"] = str(count)
        command = ["-m", "gunicorn", "django_stripe:application", "--config", "gunicorn.conf.py"]
        child = self.ground.spawn("web-dj-stripe", command, env, str(peers_python()))
        url = f"http://{HOST}:{port}"
        try:
            self.ground.wait(child, lambda: workers_answer(url, count))
            yield url
        finally:
            self.ground.end(child)

    def work(self) -> Worked:
        """Post the stream to a warm server; what it refuses it has not processed."""
        with self.web() as url:
            for part in self.stream.warm:
                send(self.ground, url, PATH, part)
            before = self._processed()
            ack, refused = send(self.ground, url, PATH, self.stream.events)
        done = self._processed() - before
        self.refused.append(refused)
        self.missing.append(len(self.stream.events) - done)
        return Worked(ack, done, ack.seconds)

    def _processed(self) -> int:
        """Return how many events it has rows of: it keeps one only if its handlers succeeded."""
        return self._count("SELECT count(*) FROM djstripe_event")

    def _count(self, query: LiteralString) -> int:
        with self.ground.postgres.connect(COPY) as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def account(self) -> str:
        """Say in words what it did of the last round's stream, and what it didn't."""
        rows = ", ".join(
            f"{self._count(query)} {name}"
            for name, query in (
                ("subscriptions", "SELECT count(*) FROM djstripe_subscription"),
                ("invoices", "SELECT count(*) FROM djstripe_invoice"),
            )
        )
        answered = f"it answered {sum(self.refused)} with an error"
        return f"{RIVAL} left out {sum(self.missing)} in all rounds ({answered}) and has {rows}"
