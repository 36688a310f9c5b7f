"""Sets up the demo's two forks with the app's own commands: brand, catalogue, shipping, staff.

`python -m sandbox.seed FORK` runs one fork's list in one process; DATABASE_NAME must name it too.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from sandbox.processes import ROOT

DATA = Path(__file__).with_name("data")
TERMS = DATA / "terms.html"
STAFF_EMAIL = "owner@startupwebapp.example"
STAFF_PASSWORD_VARIABLE = "DEMO_STAFF_PASSWORD"


@dataclass(frozen=True, slots=True)
class DemoFork:
    """One shop of the demo."""

    name: str
    title: str
    tagline: str
    accent: str
    email: str
    catalogue: Path
    collect_by: str

    def commands(self) -> list[list[str]]:
        """What `flask` is asked to do, in order; each may be repeated without harm."""
        create = ["fork", "create", self.name, "--if-missing", "--title", self.title]
        create += ["--tagline", self.tagline, "--accent", self.accent]
        create += ["--currency", "usd", "--country", "US", "--email", self.email]
        staff = ["staff", "create", STAFF_EMAIL, "--role", "owner", "--if-missing"]
        return [
            create,
            ["catalog", "import", str(self.catalogue)],
            ["catalog", "collect", "--by", self.collect_by, "--limit", "5"],
            ["shop", "seed-shipping"],
            [*staff, "--password-env", STAFF_PASSWORD_VARIABLE],
            # The owner publishes them, and so need not be asked to agree.
            ["terms", "publish", "2026-01", str(TERMS), "--by", STAFF_EMAIL, "--if-missing"],
            ["ads", "create", "spring", "--name", "Spring leaflet", "--if-missing"],
        ]


FORKS = (
    DemoFork(
        name="startupwebapp_dev",
        title="Harbor & Thread",
        tagline="Clothes for the first working day, and for the hundredth.",
        accent="#1f5f8b",
        email="hello@harbor-and-thread.example",
        catalogue=DATA / "shopify-apparel.csv",
        collect_by="tag",
    ),
    DemoFork(
        name="healthtech_dev",
        title="Stillpoint",
        tagline="Stones, beads and charms for a calmer pulse.",
        accent="#7a3e6d",
        email="hello@stillpoint.example",
        catalogue=DATA / "shopify-jewelery.csv",
        collect_by="type",
    ),
)


def migrations_digest() -> str:
    """Changes whenever a migration is added or edited."""
    return digest(sorted((ROOT / "migrations" / "versions").glob("*.py")))


def seed_digest(fork: DemoFork) -> str:
    """Changes whenever this list or the fork's catalogue does."""
    return digest([Path(__file__), TERMS, fork.catalogue])


def digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def main() -> None:
    from flask.cli import FlaskGroup

    from wsgi import create_app

    fork = next(fork for fork in FORKS if fork.name == sys.argv[1])
    group = FlaskGroup(create_app=create_app, load_dotenv=False)
    for command in fork.commands():
        print("flask", *command[:2], flush=True)
        group.main(command, prog_name="flask", standalone_mode=False)


if __name__ == "__main__":
    main()
