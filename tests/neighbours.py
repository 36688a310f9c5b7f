"""What a business leans on, in processes of its own: Stripe's stand-in, a mailbox, a Redis."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.processes import ROOT, Child, spawn
from sandbox.redis import Redis
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Stripe's stand-in and a mailbox, each a process, shared by all businesses of a run."""

    stripe_url: str
    smtp_url: str
    mailbox_url: str

    def control(self, path: str, **body: object) -> dict[str, Any]:
        """Ask Stripe's stand-in for what no Stripe offers."""
        answer = requests.post(f"{self.stripe_url}/_sandbox/{path}", json=body, timeout=60)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def pay(self, session_id: str, email: str) -> None:
        self.control(f"sessions/{session_id}/pay", email=email)

    def list_mails(self, domain: str) -> list[dict[str, Any]]:
        """Return the caught mails to anybody at ``domain``, oldest first."""
        answer = requests.get(f"{self.mailbox_url}/api/messages", timeout=60)
        return [mail for mail in answer.json() if mail["to"][0].endswith(f"@{domain}")]


@contextmanager
def run_neighbours(folder: Path) -> Iterator[Neighbours]:
    """Start both and stop them after the block."""
    stripe = [sys.executable, "-m", "sandbox.stripe", "--state", str(folder / "stripe")]
    mailbox = [sys.executable, "-m", "sandbox.mailbox", "--state", str(folder / "mailbox")]
    children = [
        spawn("stripe", [*stripe, "--retry-base", "0.3"], log=folder / "stripe.log", cwd=ROOT),
        spawn("mailbox", mailbox, log=folder / "mailbox.log", cwd=ROOT),
    ]
    try:
        told = [eventually(partial(_introduction, child), child.name) for child in children]
        yield Neighbours(told[0]["url"], told[1]["smtp"], told[1]["url"])
    finally:
        end_all(children)


def _introduction(child: Child) -> dict[str, str] | None:
    """The line of JSON in which a neighbour says where it listens."""
    assert child.is_alive(), child.last_words()
    with suppress(FileNotFoundError):
        for line in child.log.read_text().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                found: dict[str, str] = json.loads(line)
                return found
    return None


def end_all(children: list[Child]) -> None:
    """At once: how processes end by themselves is for other tests."""
    for child in children:
        child.stop(how=signal.SIGKILL)


@pytest.fixture(scope="session")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that FLUSHALL may hit without hurting anybody else."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    with run_neighbours(tmp_path_factory.mktemp("neighbours")) as running:
        yield running
