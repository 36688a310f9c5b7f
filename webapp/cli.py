"""The operator's commands: forks, the doctor, and the ones each capability brings."""

import json
import sys
from collections.abc import Callable

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.commands import member, staff, terms
from webapp.billing.commands import numbers, plan
from webapp.campaigns.commands import ads, campaign, explain
from webapp.catalog.commands import catalog
from webapp.core import forks
from webapp.core.commands import Sentences
from webapp.core.config import Config
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.core.state import current_config
from webapp.doctor import examine
from webapp.messaging.commands import mail
from webapp.orders.commands import shop

FACTORY = "factory"


def init_cli(app: Flask, factory: Callable[[Config], Flask]) -> None:
    """Add the commands; ``factory`` makes the app of another fork."""
    app.extensions[FACTORY] = factory
    for command in (fork, catalog, staff, member, shop, doctor, terms, ads, mail, campaign, plan):
        app.cli.add_command(command)
    app.cli.add_command(numbers)
    # What campaigns know of somebody belongs to the story of their mails, too.
    mail.add_command(explain)


@click.group(cls=Sentences)
def fork() -> None:
    """Create, list and migrate forks."""


@fork.command("create")
@click.argument("name")
@click.option("--title", help="The shop's name.")
@click.option("--tagline", default="")
@click.option("--accent", default="#1f5eff", help="The brand colour, like #1f5eff.")
@click.option("--currency", default="usd", help="ISO 4217, like usd.")
@click.option("--country", default="US", help="ISO 3166-1 alpha-2, like US.")
@click.option("--email", default="", help="Sender and support address.")
@click.option("--if-missing", is_flag=True, help="Do nothing when it exists.")
@with_appcontext
def fork_create(name: str, if_missing: bool, **face: str) -> None:
    """Create the database NAME, migrate it and open its shop."""
    config = current_config()
    try:
        forks.create_fork(config, name)
    except forks.ForkExists:
        if not if_missing:
            raise
        forks.mark_fork(config, name)
    _within(name, lambda: _open_shop(name, face))
    click.echo(f"Fork {name} is ready.")


def _open_shop(name: str, face: dict[str, str]) -> None:
    forks.migrate_current()
    email = face["email"] or f"hello@{name.replace('_', '-')}.example"
    row = {
        "name": face["title"] or name.replace("_", " ").title(),
        "tagline": face["tagline"],
        "accent": face["accent"],
        "currency": face["currency"].lower(),
        "country": face["country"].upper(),
        "support_email": email,
        "sender_email": email,
        "sender_name": face["title"] or "",
    }
    # A shop that is open keeps its face, also one that opened while this command ran.
    db.session.execute(insert(Shop).values(row).on_conflict_do_nothing())
    db.session.commit()


@fork.command("list")
@with_appcontext
def fork_list() -> None:
    """List all forks with their size and revision; * marks this process's."""
    current = current_config().database_name
    for row in forks.list_forks(current_config()):
        mark = "*" if row.name == current else " "
        size = row.size_bytes / 1024**2
        click.echo(f"{mark} {row.name:32} {size:9.1f} MiB  {row.revision or 'not migrated'}")


@fork.command("migrate")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Migrate every fork, one after the other.")
@with_appcontext
def fork_migrate(name: str | None, every: bool) -> None:
    """Bring one fork, or --all, to the newest revision."""
    if bool(name) == every:
        raise click.UsageError("Name one fork, or say --all.")
    config = current_config()
    if name:
        forks.require_fork(config, name)
    names = [name] if name else [row.name for row in forks.list_forks(config)]
    failed = [each for each in names if not _migrate(each)]
    if failed:
        raise click.ClickException(f"Not migrated: {', '.join(failed)}.")


def _migrate(name: str) -> bool:
    try:
        _within(name, forks.migrate_current)
    except Exception as error:
        click.echo(f"{name}: {error}", err=True)
        return False
    click.echo(f"{name}: migrated")
    return True


def _within(name: str, do: Callable[[], None]) -> None:
    """Run ``do`` in an app of the fork ``name``; this process's own app stays what it was."""
    config = current_config()
    if name == config.database_name:
        do()
        return
    other = current_app.extensions[FACTORY](config.model_copy(update={"database_name": name}))
    with other.app_context():
        do()
        db.engine.dispose()


@click.command()
@click.option("--offline", is_flag=True, help="Don't ask Stripe for payments without an order.")
@with_appcontext
def doctor(offline: bool) -> None:
    """Check the invariants; prints JSON and exits 1 when one is broken."""
    report = examine(ask_stripe=not offline)
    click.echo(json.dumps(report, indent=2, default=str))
    if not report["healthy"]:
        sys.exit(1)
