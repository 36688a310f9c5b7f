"""How long each door takes to say no: `python -m tests.attacks.timing` prints medians and ratios.

Argon2's parameters are production's. A door that took longer for known addresses would show a
ratio away from 1; the machine's own noise is the ratio of two halves of the same tries.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from tests.attacks.cast import ALICE, gather
from tests.conftest import make_config
from tests.services import Addresses, Database, Servers, cloned
from webapp.core.config import Config
from webapp.core.db import db
from webapp.core.models import Shop
from wsgi import create_app

# Of the same length, and asked as often: caches of any kind serve both alike.
UNKNOWN = "carol@example.com"
Knock = Callable[[Flask, str], int]
ARGON2 = {
    name: Config.model_fields[name].default
    for name in ("argon2_time_cost", "argon2_memory_kib", "argon2_parallelism")
}


def log_in(app: Flask, email: str) -> int:
    fields = {"email": email, "password": "Wrong-Harbour-42"}
    return app.test_client().post("/login", data=fields).status_code


def forget(app: Flask, email: str) -> int:
    return app.test_client().post("/password/forgot", data={"email": email}).status_code


def register(app: Flask, email: str) -> int:
    fields = {"email": email, "password": "Other-Harbour-43", "agree": "y"}
    return app.test_client().post("/register", data=fields).status_code


# Registering comes last: it makes the unknown address known.
DOORS: dict[str, Knock] = {"login": log_in, "forgot": forget, "register": register}


def measure(app: Flask, knock: Knock, tries: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each try for a known and for an unknown address, in mixed order."""
    known: list[float] = []
    unknown: list[float] = []
    order = [True, False] * tries
    random.Random(1).shuffle(order)
    for is_known in order:
        email = ALICE if is_known else UNKNOWN
        began = time.perf_counter()
        knock(app, email)
        (known if is_known else unknown).append(time.perf_counter() - began)
    return known, unknown


def report(door: str, known: list[float], unknown: list[float]) -> str:
    medians = statistics.median(known), statistics.median(unknown)
    noise = statistics.median(known[::2]) / statistics.median(known[1::2])
    return (
        f"{door:10} known {medians[0] * 1000:8.2f} ms   unknown {medians[1] * 1000:8.2f} ms   "
        f"ratio {medians[0] / medians[1]:.3f}   noise {noise:.3f}   tries {len(known)} each"
    )


def run(app: Flask, tries: int) -> None:
    with app.app_context():
        db.session.add(Shop(name="Northwind Goods", support_email="help@northwind.example"))
        db.session.commit()
        gather(app)
    app.config["WTF_CSRF_ENABLED"] = False
    for door, knock in DOORS.items():
        measure(app, knock, 5)
        sys.stdout.write(report(door, *measure(app, knock, tries)) + "\n")
        sys.stdout.flush()
    with app.app_context():
        db.engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.timing", description=__doc__)
    parser.add_argument("--tries", type=int, default=200, help="per door and kind of address")
    options = parser.parse_args()
    servers = Servers()
    try:
        addresses = servers.start()
        with (
            cloned(addresses, addresses.database("timing")) as database,
            tempfile.TemporaryDirectory() as folder,
        ):
            run(make_app(addresses.redis, addresses, database, Path(folder)), options.tries)
    finally:
        servers.stop()


def make_app(redis: str, addresses: Addresses, database: Database, folder: Path) -> Flask:
    changes = {**ARGON2, "log_level": "CRITICAL"}
    return create_app(make_config(addresses, database, redis, folder, **changes))


if __name__ == "__main__":
    main()
