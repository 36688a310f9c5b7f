"""./dev demo for real: it comes up, leaves nothing behind, and comes back after the worst."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from sandbox.ports import answers, free_port, wait_until
from sandbox.processes import OWNER_VARIABLE, ROOT

PARTS = {"web", "worker", "clock", "stripe", "mailbox", "postgres", "redis"}
HOSTILE = {
    "FLASK_APP": "another.project",
    "FLASK_DEBUG": "1",
    "GUNICORN_CMD_ARGS": "--bogus",
    "PYTHONPATH": "/nowhere",
    "DATABASE_NAME": "another_projects_database",
    "STRIPE_SECRET_KEY": "sk_live_never",
    "SECRET_KEY_FILE": "/nowhere",
    "SMTP_URL": "smtp://mail.example:25",
    "BASE_URL": "https://shop.example",
    "PORT": "1",
}
# One web worker is enough here, and each takes seconds of a small machine to come up.
FRUGAL = {"WEB_CONCURRENCY": "1"}

pytestmark = pytest.mark.chaos


@dataclass
class Run:
    """One `./dev demo` and what it said."""

    process: subprocess.Popen[bytes]
    output: Path
    ready: Path
    began: float

    @property
    def is_ready(self) -> bool:
        """FILE is of this run: one that a killed run left is older."""
        try:
            return self.ready.stat().st_mtime >= self.began
        except FileNotFoundError:
            return False

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready.read_text())
        return found

    def ports(self) -> list[int]:
        urls = [self.told[name] for name in ("web", "mailbox", "stripe", "database_url")]
        return [urlsplit(url).port or 0 for url in (*urls, self.told["redis_url"])]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(300)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for this file: loading the demo shops is what takes time."""
    return tmp_path_factory.mktemp("demo")


def begin(home: Path, *arguments: str) -> Run:
    """Start on the state folder and wait until it is ready (or has ended)."""
    output, ready, began = home / "output", home / "ready.json", time.time()
    command = [sys.executable, "-m", "sandbox.demo", "--state", str(home / "state")]
    command += ["--ready", str(ready), *arguments]
    if "--port" not in arguments:
        command += ["--port", str(free_port())]
    env = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**env, **HOSTILE, **FRUGAL},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    run = Run(process, output, ready, began)
    wait_until(lambda: run.is_ready or process.poll() is not None, 600)
    return run


def started(home: Path) -> Run:
    run = begin(home)
    assert run.is_ready, run.output.read_text()
    return run


def left_behind(home: Path) -> list[int]:
    """Processes that carry this state folder's mark."""
    mark = str((home / "state" / "processes.json").resolve())
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE) == mark:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def assert_nothing_left(home: Path, ports: list[int]) -> None:
    assert wait_until(lambda: not left_behind(home), 20), left_behind(home)
    assert wait_until(lambda: not any(map(answers, ports)), 20)
    assert not (home / "ready.json").exists()
    names = {path.name for path in (home / "state").iterdir()}
    assert not names & {"lock", "processes.json", "demo.env"}


def test_it_comes_up_tells_where_everything_is_and_stops_in_order(home: Path) -> None:
    run = started(home)
    told, ports = run.told, run.ports()
    assert list(told) == [
        "web",
        "admin",
        "mailbox",
        "stripe",
        "stripe_key",
        "webhook_secret",
        "database_url",
        "redis_url",
        "pids",
    ]
    assert set(told["admin"]) == {"url", "email", "password"}
    assert set(told["pids"]) == PARTS
    assert all(psutil.pid_exists(pid) for pid in told["pids"].values())
    assert requests.get(f"{told['web']}/ready", timeout=60).json()["status"] == "ok"
    assert requests.get(f"{told['mailbox']}/api/messages", timeout=60).json() == []
    output = run.output.read_text()
    assert told["web"] in output
    assert told["admin"]["password"] in output
    second = begin(home)
    assert second.process.wait(300) == 1
    assert f"in use by process {run.process.pid}" in second.output.read_text()
    assert run.ready.exists()
    assert run.end() == 0
    assert_nothing_left(home, ports)


def test_it_comes_back_after_everything_was_killed_and_stops_on_ctrl_c(home: Path) -> None:
    first = started(home)
    password, ports = first.told["admin"]["password"], first.ports()
    for pid in (first.process.pid, *first.told["pids"].values(), *left_behind(home)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    first.process.wait()
    second = started(home)
    assert second.told["admin"]["password"] == password
    assert "Demo shops" not in second.output.read_text()
    ports += second.ports()
    assert second.end(signal.SIGINT) == 0
    assert_nothing_left(home, ports)


def test_a_part_that_dies_is_named_and_the_rest_is_stopped(home: Path) -> None:
    run = started(home)
    ports = run.ports()
    os.kill(run.told["pids"]["worker"], signal.SIGKILL)
    assert run.process.wait(300) == 1
    assert "worker ended by itself" in run.output.read_text()
    assert_nothing_left(home, ports)


def test_a_taken_port_is_told_in_a_sentence(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = begin(home, "--port", str(port))
        assert run.process.wait(300) == 1
    assert f"Port {port} is taken by another program. Choose another" in run.output.read_text()


def test_fresh_does_not_delete_a_folder_that_is_not_the_demos(tmp_path: Path) -> None:
    precious = tmp_path / "state" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    run = begin(tmp_path, "--fresh")
    assert run.process.wait(300) == 1
    assert "isn't a demo's folder" in run.output.read_text()
    assert precious.read_text() == "mine"


def test_the_check_makes_a_sale_from_nothing(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    sale = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--check"],
        check=False,
        cwd=ROOT,
        env={**env, **HOSTILE, **FRUGAL},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert sale.returncode == 0, sale.stdout + sale.stderr
    assert "All of it holds" in sale.stdout
