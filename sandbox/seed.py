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
            *(plan.command() for plan in PLANS),
        ]


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the demo's shops offer by subscription, both the same."""

    slug: str
    name: str
    description: str
    monthly: str
    yearly: str
    position: int
    features: tuple[tuple[str, str], ...]
    pieces: str
    trial_days: int = 0

    def command(self) -> list[str]:
        command = ["plan", "create", self.slug, "--if-missing", "--publish"]
        command += ["--name", self.name, "--description", self.description]
        command += ["--monthly", self.monthly, "--yearly", self.yearly]
        command += ["--position", str(self.position), "--trial-days", str(self.trial_days)]
        for key, words in self.features:
            command += ["--feature", f"{key}={words}"]
        return [*command, "--limit", f"saved_pieces={self.pieces}"]


PLANS = (
    DemoPlan(
        slug="starter",
        name="Starter",
        description="For finding out whether it suits you.",
        monthly="9",
        yearly="90",
        position=1,
        features=(("notes", "Notes from the workshop, every Friday"), ("swap", "One swap a month")),
        pieces="10",
    ),
    DemoPlan(
        slug="pro",
        name="Pro",
        description="For those who come back every week.",
        monthly="19",
        yearly="190",
        position=2,
        features=(
            ("notes", "Notes from the workshop, every Friday"),
            ("swap", "Swaps whenever you like"),
            ("early", "New pieces two days before everybody"),
            ("pro_room", "The Pro room"),
        ),
        pieces="100",
        trial_days=14,
    ),
    DemoPlan(
        slug="team",
        name="Team",
        description="For a shop, a studio or a family.",
        monthly="49",
        yearly="490",
        position=3,
        features=(
            ("notes", "Notes from the workshop, every Friday"),
            ("swap", "Swaps whenever you like"),
            ("early", "New pieces two days before everybody"),
            ("pro_room", "The Pro room"),
            ("fitting", "A fitting by video each season"),
        ),
        pieces="none",
        trial_days=14,
    ),
)


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


def carry_out(commands: list[list[str]]) -> None:
    """Have `flask` do them one after the other, in this process and by one app."""
    from flask.cli import FlaskGroup, ScriptInfo

    from wsgi import create_app

    group, app = FlaskGroup(load_dotenv=False), ScriptInfo(create_app=create_app)
    for command in commands:
        print("flask", *command[:3], flush=True)
        group.main(command, prog_name="flask", standalone_mode=False, obj=app)


def main() -> None:
    fork = next(fork for fork in FORKS if fork.name == sys.argv[1])
    carry_out(fork.commands())


if __name__ == "__main__":
    main()
