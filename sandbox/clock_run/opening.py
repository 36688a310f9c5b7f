"""Opens the shop of a clock run: its database, and plans by the month and the year.

`python -m sandbox.clock_run.opening` runs the app's own commands in one process.
"""

from sandbox.seed import DATA, DemoFork, carry_out

FORK = DemoFork(
    name="clock_run",
    title="Northwind Letters",
    tagline="A letter a month.",
    accent="#1f5f8b",
    email="hello@northwind-letters.example",
    catalogue=DATA / "shopify-apparel.csv",
    collect_by="tag",
)
#: Each with its prices a month and a year, and the days of its trial.
PLANS = (
    ("basic", "Basic", "9", "90", 0),
    ("pro", "Pro", "19", "190", 14),
    ("team", "Team", "49.50", "495", 30),
)


def commands() -> list[list[str]]:
    """What `flask` is asked to do, in order."""
    create = ["fork", "create", FORK.name, "--if-missing", "--title", FORK.title]
    create += ["--currency", "usd", "--country", "US", "--email", FORK.email]
    return [create, *(_plan(position, *plan) for position, plan in enumerate(PLANS))]


def _plan(
    position: int, slug: str, name: str, monthly: str, yearly: str, trial_days: int
) -> list[str]:
    plan = ["plan", "create", slug, "--name", name, "--if-missing", "--publish"]
    plan += ["--monthly", monthly, "--yearly", yearly, "--trial-days", str(trial_days)]
    return [*plan, "--position", str(position), "--feature", "letters=Letters", "--limit", "pens=3"]


def main() -> None:
    carry_out(commands())


if __name__ == "__main__":
    main()
