"""All parts of the demo on one state folder: started together, watched, stopped in order."""

import os
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sandbox.addresses import Addresses
from sandbox.ports import HOST, answers, free_port, is_free
from sandbox.postgres import Postgres, PostgresServer, external_postgres
from sandbox.processes import (
    OWNER_VARIABLE,
    ROOT,
    Child,
    Ledger,
    SandboxError,
    spawn,
    tail,
    write_atomically,
)
from sandbox.procfile import read_procfile, shell_command
from sandbox.readiness import clock_is_ready, web_is_ready, worker_is_ready
from sandbox.redis import Redis, external_redis
from sandbox.seed import (
    FORKS,
    STAFF_EMAIL,
    STAFF_PASSWORD_VARIABLE,
    DemoFork,
    migrations_digest,
    seed_digest,
)
from sandbox.state import State
from sandbox.steps import Steps

START_SECONDS = 180
SETUP_SECONDS = 600
STOP_ORDER = ("web", "clock", "worker", "stripe", "mailbox")
OURS = ("FLASK_", "STRIPE_", "SMTP_", "DATABASE_", "REDIS_", "SECRET_KEY", "GUNICORN_", "BASE_URL")


class Stack:
    """All parts of one state folder, started together and stopped together."""

    def __init__(self, folder: Path, steps: Steps) -> None:
        self.state = State(folder)
        self.steps = steps
        self.port = 0
        self.fork = FORKS[0]
        self.children: dict[str, Child] = {}
        self.ledger = Ledger(folder / "processes.json")
        self.postgres: PostgresServer | None = None
        self.redis: Redis | None = None
        self.redis_url = ""
        self._began = time.monotonic()

    # --- starting --------------------------------------------------------------------------------

    def end_orphans(self) -> None:
        """End what a killed run left in this folder."""
        orphans = self.ledger.end_orphans()
        if orphans:
            self.steps.say(f"  Ended what an earlier run left: {', '.join(orphans)}.")

    def start(self, port: int, *, fresh: bool = False) -> Addresses:
        """Return once every part answers; SandboxError with a sentence if one doesn't."""
        self.port = port
        if fresh:
            self.state.delete()
        self.state.open()
        self.state.set_old_logs_aside()
        os.environ[OWNER_VARIABLE] = self.ledger.owner
        self._start_neighbours()
        self._set_up_forks()
        self._start_app()
        self._write_environment_file()
        return self._addresses()

    def _start_neighbours(self) -> None:
        """Everything begins at once; then each is waited for."""
        began = time.monotonic()
        self._begin_redis()
        self._begin_mailbox()
        self._begin_stripe()
        with self.steps.step("Postgres", began) as step:
            step.note(self._start_postgres())
        with self.steps.step("Redis", began) as step:
            step.note(self._finish_redis())
        for name in ("stripe", "mailbox"):
            with self.steps.step(name.capitalize(), began) as step:
                self._wait_for(name, partial(answers, self._ports()[name]))
                step.note(f"http://{HOST}:{self._ports()[name]}")

    def _start_postgres(self) -> str:
        address = os.environ.get("DATABASE_URL")
        if address:
            self.postgres = external_postgres(address)
            return "the one DATABASE_URL names"
        ports = self._ports()
        server = Postgres(self.state.folder / "postgres", port=ports.get("postgres"))
        self.postgres = server
        server.start()
        self.children["postgres"] = server.child
        self.ledger.record("postgres", server.pid)
        ports["postgres"] = server.address.port or 0
        return f"{HOST}:{server.address.port}"

    def _begin_redis(self) -> None:
        if os.environ.get("REDIS_URL"):
            return
        folder = self.state.folder / "redis"
        self.redis = Redis(folder, port=self._ports().get("redis"), allow_fake=True)
        self.redis.begin()
        self.children["redis"] = self.redis.child
        self.ledger.record("redis", self.redis.pid)

    def _finish_redis(self) -> str:
        if self.redis is None:
            self.redis_url = external_redis(os.environ["REDIS_URL"])
            return "the one REDIS_URL names"
        self.redis.wait()
        self.redis_url = self.redis.url
        self._ports()["redis"] = self.redis.port
        kind = " (fakeredis: no Redis was found on this machine)" if self.redis.is_fake else ""
        return self.redis_url.removeprefix("redis://").removesuffix("/0") + kind

    def _begin_mailbox(self) -> None:
        smtp, http = self._port_for("smtp"), self._port_for("mailbox")
        command = [sys.executable, "-m", "sandbox.mailbox", "--state"]
        command += [str(self.state.folder / "mailbox"), "--shop", str(self._settings_file)]
        self._spawn("mailbox", [*command, "--smtp-port", str(smtp), "--http-port", str(http)])

    def _begin_stripe(self) -> None:
        settings = self.state.settings
        command = [sys.executable, "-m", "sandbox.stripe", "--port", str(self._port_for("stripe"))]
        command += ["--state", str(self.state.folder / "stripe"), "--key", settings.stripe_key]
        command += ["--webhook", f"{self.web_url}/webhooks/stripe"]
        self._spawn("stripe", [*command, "--webhook-secret", settings.webhook_secret])

    def _set_up_forks(self) -> None:
        """Migrate and load what isn't there yet; both forks at the same time."""
        self.state.save()
        assert self.postgres
        done = self.state.settings.done
        present = self.postgres.database_names()
        missing = [
            fork
            for fork in FORKS
            if fork.name not in present or done.get(fork.name) != seed_digest(fork)
        ]
        if done.get("migrations") != migrations_digest() and len(missing) < len(FORKS):
            with self.steps.step("Migrations"):
                flask = [sys.executable, "-m", "flask", "fork", "migrate", "--all"]
                self._finish([self._spawn("migrate", flask)], "The migrations failed")
        if missing:
            with self.steps.step("Demo shops") as step:
                self._finish([self._seed(fork) for fork in missing], "The demo shops failed")
                step.note(", ".join(fork.title for fork in missing))
        done["migrations"] = migrations_digest()
        done.update({fork.name: seed_digest(fork) for fork in missing})
        self.state.save()

    def _seed(self, fork: DemoFork) -> Child:
        env = {"DATABASE_NAME": fork.name}
        env[STAFF_PASSWORD_VARIABLE] = self.state.settings.staff_password
        return self._spawn(
            f"seed-{fork.name}", [sys.executable, "-m", "sandbox.seed", fork.name], env
        )

    def _finish(self, children: list[Child], failure: str) -> None:
        """Wait for one-off commands, showing what they print last."""
        deadline = time.monotonic() + SETUP_SECONDS
        while alive := [child for child in children if child.is_alive()]:
            self.steps.tick(tail(alive[0].log, 1))
            if time.monotonic() > deadline:
                raise SandboxError(f"{failure}: not done after {SETUP_SECONDS} s.")
            time.sleep(0.05)
        for child in children:
            del self.children[child.name]
            if child.process.returncode != 0:
                raise SandboxError(f"{failure}. The end of {child.log}:\n{child.last_words(25)}")

    def _start_app(self) -> None:
        """Web, worker and clock from the Procfile, at the same time."""
        if not is_free(self.port):
            raise SandboxError(f"Port {self.port} was taken meanwhile; choose another with --port.")
        commands = read_procfile()
        began = time.monotonic()
        for name in ("web", "worker", "clock"):
            self._spawn(name, shell_command(commands[name]))
        ready: dict[str, Callable[[], bool]] = {
            "web": lambda: web_is_ready(self.web_url),
            "worker": lambda: worker_is_ready(self.redis_url, self.children["worker"].pid),
            "clock": lambda: clock_is_ready(self.database_url),
        }
        for name, is_ready in ready.items():
            with self.steps.step(name.capitalize(), began) as step:
                self._wait_for(name, is_ready)
                step.note(commands[name])

    def _wait_for(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        child = self.children[name]
        while not is_ready():
            if not child.is_alive():
                raise SandboxError(death_notice(child))
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"{name} didn't answer within {START_SECONDS} s. The end of {child.log}:\n"
                    f"{child.last_words()}"
                )
            self.steps.tick()
            time.sleep(0.05)

    def _spawn(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Child:
        child = spawn(
            name,
            command,
            log=self.state.logs / f"{name}.log",
            env={**self.environment(), **(env or {})},
            cwd=ROOT,
        )
        self.children[name] = child
        self.ledger.record(name, child.pid)
        return child

    # --- addresses -------------------------------------------------------------------------------

    @property
    def web_url(self) -> str:
        # A name, not a number: browsers make passkeys for hosts that have one.
        return f"http://localhost:{self.port}"

    @property
    def database_url(self) -> str:
        """The first fork's database."""
        assert self.postgres
        return self.postgres.url(self.fork.name)

    def _ports(self) -> dict[str, int]:
        return self.state.settings.ports

    def _port_for(self, name: str) -> int:
        """The same port as last time while it is free: links in old mails keep working."""
        self._ports()[name] = free_port(self._ports().get(name))
        return self._ports()[name]

    def app_settings(self) -> dict[str, str]:
        """What the app is told through its environment."""
        settings, ports = self.state.settings, self._ports()
        return {
            "APP_ENV": "development",
            "SECRET_KEY": settings.secret_key,
            "DATABASE_URL": self.postgres.url() if self.postgres else "",
            "DATABASE_NAME": self.fork.name,
            "REDIS_URL": self.redis_url,
            "STRIPE_SECRET_KEY": settings.stripe_key,
            "STRIPE_API_BASE": f"http://{HOST}:{ports.get('stripe', 0)}",
            "STRIPE_WEBHOOK_SECRET": settings.webhook_secret,
            "SMTP_URL": f"smtp://{HOST}:{ports.get('smtp', 0)}",
            "BOUNCE_ADDRESS": self.fork.email.replace("hello@", "bounces@"),
            "BASE_URL": self.web_url,
            "UPLOAD_FOLDER": str(self.state.folder / "uploads"),
            "SPOOL_FOLDER": str(self.state.folder / "spool"),
        }

    def environment(self) -> dict[str, str]:
        """A child's whole environment: the caller's without what would configure the app."""
        settings = self.app_settings()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(OURS)
            and name not in ("PYTHONPATH", "HOST")
            and name.removesuffix("_FILE") not in settings
        }
        return {
            **kept,
            **settings,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": kept.get("WEB_CONCURRENCY", "2"),
            "FLASK_APP": "wsgi",
            "FLASK_SKIP_DOTENV": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def _write_environment_file(self) -> None:
        """For `./dev flask ...` in another terminal while this runs."""
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in self.app_settings().items()]
        write_atomically(self._settings_file, "".join(lines))

    @property
    def _settings_file(self) -> Path:
        return self.state.folder / "demo.env"

    def _addresses(self) -> Addresses:
        settings, ports = self.state.settings, self._ports()
        names = ("web", "worker", "clock", "stripe", "mailbox", "postgres", "redis")
        return Addresses(
            web=self.web_url,
            admin_url=f"{self.web_url}/admin/",
            admin_email=STAFF_EMAIL,
            admin_password=settings.staff_password,
            mailbox=f"http://{HOST}:{ports['mailbox']}",
            stripe=f"http://{HOST}:{ports['stripe']}",
            stripe_key=settings.stripe_key,
            webhook_secret=settings.webhook_secret,
            database_url=self.database_url,
            redis_url=self.redis_url,
            pids={n: self.children[n].pid if n in self.children else None for n in names},
        )

    # --- running and stopping --------------------------------------------------------------------

    def watch(self) -> None:
        """Stay until interrupted; SandboxError when a part dies."""
        while True:
            for child in list(self.children.values()):
                if not child.is_alive():
                    raise SandboxError(death_notice(child))
            time.sleep(0.2)

    def stop(self) -> None:
        """In the order that loses nothing: who takes requests first, who keeps data last."""
        self._settings_file.unlink(missing_ok=True)
        leftovers = [name for name in self.children if name.startswith(("seed-", "migrate"))]
        for name in (*leftovers, *STOP_ORDER):
            child = self.children.pop(name, None)
            if child:
                child.stop()
        if self.redis:
            self.redis.stop()
        if isinstance(self.postgres, Postgres):
            self.postgres.stop()
        self.children.clear()
        self.ledger.end_orphans()


def death_notice(child: Child) -> str:
    status = child.process.poll()
    return (
        f"{child.name} ended by itself (status {status}). The end of {child.log}:\n"
        f"{child.last_words()}"
    )
