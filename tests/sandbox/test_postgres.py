"""The embedded Postgres survives what a laptop does to it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sandbox.ports import answers, wait_until
from sandbox.postgres import Postgres, external_postgres
from sandbox.processes import SandboxError, wait_for_exit

OWNER = """
import sys, time
from pathlib import Path
from sandbox.postgres import Postgres
server = Postgres(Path(sys.argv[1]), durable=False)
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One initialised cluster for this file: making one is what takes time."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture
def server(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder, durable=False)
    server.start()
    yield server
    server.stop()


def test_it_makes_databases_and_copies_them(server: Postgres) -> None:
    server.create_database("first")
    with server.connect("first") as connection:
        connection.execute("CREATE TABLE kept (id int)")
    server.create_database("second", template="first")
    with server.connect("second") as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    server.drop_database("first")
    server.drop_database("second")
    assert "first" not in server.database_names()


def test_it_speaks_utf8_and_takes_hundreds_of_connections(server: Postgres) -> None:
    with server.connect() as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SELECT lower('ÄÖÜ')").fetchone() == ("äöü",)
        limit = connection.execute("SHOW max_connections").fetchone()
    assert limit and int(limit[0]) >= 200


def test_data_outlives_a_restart_and_the_password_stays(folder: Path) -> None:
    first = Postgres(folder)
    first.start()
    first.create_database("lasting")
    password = first.address.password
    first.stop()
    second = Postgres(folder)
    second.start()
    try:
        assert "lasting" in second.database_names()
        assert second.address.password == password
        second.drop_database("lasting")
    finally:
        second.stop()


def test_a_second_owner_is_refused_with_a_sentence(server: Postgres, folder: Path) -> None:
    with pytest.raises(SandboxError, match=f"in use by process {os.getpid()}"):
        Postgres(folder).start()
    with server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_it_starts_after_the_server_was_killed(folder: Path) -> None:
    first = Postgres(folder, durable=False)
    first.start()
    os.kill(first.pid, signal.SIGKILL)
    first.child.process.wait()
    first._lock.release()
    assert (folder / "data" / "postmaster.pid").exists()
    second = Postgres(folder, durable=False)
    second.start()
    second.stop()


def test_a_pid_file_that_names_a_stranger_is_no_obstacle(folder: Path) -> None:
    lines = [str(os.getppid()), str(folder / "data"), "1700000000", "5432", "", "", "", "ready"]
    pid_file = folder / "data" / "postmaster.pid"
    pid_file.write_text("\n".join(lines) + "\n")
    server = Postgres(folder, durable=False)
    server.start()
    server.stop()
    assert psutil.pid_exists(os.getppid())


def own_in_another_process(folder: Path) -> tuple[subprocess.Popen[str], int]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    return owner, int(owner.stdout.readline())


def test_the_next_start_succeeds_after_its_owner_was_killed(folder: Path) -> None:
    owner, orphan = own_in_another_process(folder)
    owner.kill()
    owner.wait()
    server = Postgres(folder, durable=False)
    server.start()
    try:
        assert server.pid != orphan
        assert wait_for_exit(orphan, 1)
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_the_server_dies_with_its_owner(folder: Path) -> None:
    owner, orphan = own_in_another_process(folder)
    owner.kill()
    owner.wait()
    assert wait_for_exit(orphan, 15)


def test_stopping_leaves_no_process_port_or_lock(folder: Path) -> None:
    server = Postgres(folder, durable=False)
    server.start()
    pid, port = server.pid, server.address.port
    assert port and answers(port)
    server.stop()
    assert wait_until(lambda: not psutil.pid_exists(pid), 1)
    assert not answers(port)
    assert not (folder / "lock").exists()
    assert not (folder / "data" / "postmaster.pid").exists()


def test_a_port_taken_meanwhile_is_not_fatal(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Postgres(folder, durable=False, port=taken.getsockname()[1])
        server.start()
        assert server.address.port != taken.getsockname()[1]
        server.stop()


def test_a_database_url_that_does_not_answer_is_told_in_a_sentence() -> None:
    with pytest.raises(SandboxError, match="DATABASE_URL names a Postgres that can't be used"):
        external_postgres("postgresql://nobody@127.0.0.1:1/none")
