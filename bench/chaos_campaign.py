"""A campaign through a hundred deaths: who got it, who didn't, and whether the shop knows.

Workers are killed (SIGKILL) at random moments while 100,000 mails go to a server that records each
one it takes; Postgres is killed and Redis emptied in between. Afterwards the server's record and
the shop's rows are held against each other.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from redis import Redis

from bench.campaign import STATE
from bench.ground import Ground, Site, machine
from bench.mail import words
from bench.registry import Bench, Effort
from bench.report import Notes, Row
from sandbox.ports import HOST, answers, free_port
from sandbox.processes import Child, SandboxError
from sandbox.readiness import clock_is_ready, worker_is_ready

NAME = "chaos-campaign"
READERS = 100_000
KILLS = 100
WORKERS = 2
POSTGRES_EVERY, FLUSH_EVERY = 20, 7
PATIENCE_SECONDS = 1800
FATES = "SELECT address, state FROM email_recipient WHERE email_id = %s"


@dataclass(slots=True)
class Battle:
    """The site under attack and what was done to it."""

    site: Site
    workers: list[Child] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)

    def start_worker(self, number: int) -> Child:
        name = f"worker-{self.site.database}-{number}"
        return self.site.ground.spawn(name, ["-m", "flask", "worker"], self.site.environment())

    def begin(self) -> Child:
        """Start the workers and the clock; returns the clock."""
        env = self.site.environment()
        self.workers = [self.start_worker(number) for number in range(WORKERS)]
        for child in self.workers:
            self.site.ground.wait(child, partial(worker_is_ready, env["REDIS_URL"], child.pid))
        clock = self.site.ground.spawn("clock", ["-m", "flask", "clock"], env)
        self.site.ground.wait(clock, lambda: clock_is_ready(self.site.url))
        return clock

    def kill_worker(self, chance: random.Random) -> None:
        number = chance.randrange(WORKERS)
        child = self.workers[number]
        child.stop(how=signal.SIGKILL)
        self.site.ground.children.remove(child)
        self.workers[number] = self.start_worker(number)
        self.kills["worker"] += 1

    def kill_postgres(self) -> None:
        postgres = self.site.ground.postgres
        os.kill(postgres.pid, signal.SIGKILL)
        postgres.stop()
        postgres.start()
        self.kills["Postgres"] += 1

    def flush_redis(self) -> None:
        Redis.from_url(self.site.ground.redis.url).flushall()
        self.kills["FLUSHALL"] += 1


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return duplicates, silent losses and mails in doubt; nothing else is worth a number."""
    del effort
    record = ground.folder / "taken.tsv"
    site = replace(ground.site("chaos"), changes={"BULK_SMTP_URL": _start_sink(ground, record)})
    words.fill(site, READERS)
    battle = Battle(site)
    seed = random.SystemRandom().randrange(1 << 32)
    with site.app() as app:
        email_id = words.make_ready(app)
        words.populate(app, email_id)
        battle.begin()
        words.start(app, email_id)
    _attack(battle, record, random.Random(seed))
    _wait(battle, email_id)
    notes.add(machine())
    notes.add(f"Postgres: {ground.durability()}. Seed {seed}.")
    notes.add(f"Killed: {', '.join(f'{n} x {what}' for what, n in battle.kills.items())}.")
    return _count(site, email_id, record, battle)


def _start_sink(ground: Ground, record: Path) -> str:
    port = free_port()
    command = ["-m", "bench.sink", "--port", str(port), "--record", str(record)]
    child = ground.spawn("recording-sink", command)
    ground.wait(child, lambda: answers(port))
    return f"smtp://{HOST}:{port}"


def _attack(battle: Battle, record: Path, chance: random.Random) -> None:
    """Spread the kills over the whole send: the next is due when its share has arrived."""
    for number in range(1, KILLS + 1):
        _wait_for_mails(record, number * READERS // (KILLS + 5))
        time.sleep(chance.uniform(0, 0.4))
        battle.kill_worker(chance)
        if number % FLUSH_EVERY == 0:
            battle.flush_redis()
        if number % POSTGRES_EVERY == 0:
            battle.kill_postgres()
        print(f"\r{number} of {KILLS} kills", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _wait_for_mails(record: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not record.exists() or record.read_bytes().count(b"\n") < count:
        if time.monotonic() > deadline:
            raise SandboxError(f"Fewer than {count} mails arrived in {PATIENCE_SECONDS} s.")
        time.sleep(0.05)


def _wait(battle: Battle, email_id: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with battle.site.ground.postgres.connect(battle.site.database) as connection:
            if connection.execute(STATE, (email_id,)).fetchone() == ("sent",):
                return
        time.sleep(0.5)
    raise SandboxError(f"The mail is not sent {PATIENCE_SECONDS} s after the last kill.")


def _count(site: Site, email_id: int, record: Path, battle: Battle) -> list[Row]:
    taken = Counter(line.split("\t")[0] for line in record.read_text("utf-8").splitlines())
    with site.ground.postgres.connect(site.database) as connection:
        fates = dict(connection.execute(FATES, (email_id,)).fetchall())
    states = Counter(fates.values())
    told = {"failed", "unknown"}
    silent = [a for a, state in fates.items() if not taken[a] and state not in told]
    wrong = [a for a, state in fates.items() if taken[a] and state in {"pending", "failed"}]
    kills = sum(battle.kills.values())
    unknown = float(states["unknown"])
    return [
        Row(NAME, "kills", kills, "kills"),
        Row(NAME, "mails", len(fates), "mails"),
        Row(NAME, "sent", float(states["sent"]), "mails"),
        Row(NAME, "duplicates", sum(count - 1 for count in taken.values()), "mails"),
        Row(NAME, "missing-unsaid", len(silent) + len(wrong), "mails"),
        Row(NAME, "unknown", unknown, "mails", "kills", round(unknown / kills, 3)),
    ]


BENCH = Bench(NAME, "a campaign of 100,000 through 100 SIGKILLs", run, by_name_only=True)
