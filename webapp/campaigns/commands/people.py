"""Whom mails go to: audiences, and people brought along from elsewhere."""

import json
from typing import BinaryIO

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from webapp.campaigns.commands.group import campaign
from webapp.campaigns.errors import NoSuchAudience
from webapp.campaigns.models import Audience, EmailType
from webapp.campaigns.services import audiences as services
from webapp.campaigns.services.importing import ImportChoices, import_prospects
from webapp.core.audit import OPERATOR
from webapp.core.commands import deed
from webapp.core.db import db
from webapp.messaging.models import MailTopic


@campaign.group("audience")
def audience() -> None:
    """Saved segments: who a mail is for."""


@audience.command("list")
@with_appcontext
def list_audiences() -> None:
    """List all with their rules in words."""
    for row in db.session.scalars(select(Audience).order_by(Audience.id)):
        click.echo(f"{row.id:6}  {row.name}: {services.describe(services.read_rules(row.rules))}")


@audience.command("create")
@click.argument("name")
@click.argument("rules")
@deed
def create_audience(name: str, rules: str) -> int:
    """Save a segment; RULES is JSON like {"match": "all", "of": [...]}. Prints its number."""
    try:
        read = json.loads(rules)
    except ValueError as error:
        raise click.ClickException(f"The rules are no JSON: {error}.") from error
    if not isinstance(read, dict):
        raise click.ClickException("The rules are a JSON object.")
    made = services.create_audience(name, read, OPERATOR)
    return made.id


@audience.command("size")
@click.argument("number", type=int)
@click.option(
    "--type", "type_", type=click.Choice([each.value for each in EmailType]), default="both"
)
@click.option(
    "--topic", type=click.Choice([each.value for each in MailTopic]), default="newsletter"
)
@with_appcontext
def size(number: int, type_: str, topic: str) -> None:
    """Count who is in it, and who of them would get a mail."""
    found = db.session.get(Audience, number)
    if found is None:
        raise NoSuchAudience
    rules = services.read_rules(found.rules)
    counted = services.count_people(EmailType(type_), MailTopic(topic), rules)
    click.echo(
        f"{counted.total:,} people, {counted.wanted:,} would get it;"
        f" {counted.no_consent:,} did not ask for it, {counted.suppressed:,} are suppressed."
    )


@campaign.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--consent", required=True, help="Where and how these people agreed, in words.")
@click.option(
    "--topic", type=click.Choice([each.value for each in MailTopic]), default="newsletter"
)
@click.option("--keep", multiple=True, help="A column to keep as a variable; * for all.")
@click.option("--tag", "tags", multiple=True, help="A tag for all of them.")
@click.option("--dry-run", is_flag=True, help="Only tell what would happen.")
@with_appcontext
def import_(
    file: BinaryIO,
    consent: str,
    topic: str,
    keep: tuple[str, ...],
    tags: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Bring prospects from a CSV file of Mailchimp's, listmonk's or your own."""
    choices = ImportChoices(consent, MailTopic(topic), keep, tags)
    report = import_prospects(file.read(), choices, OPERATOR, dry_run=dry_run)
    db.session.commit()
    for sentence in report.sentences():
        click.echo(sentence)
    if report.problems:
        raise SystemExit(1)
