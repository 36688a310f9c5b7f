"""Writing a mail from the shell: from a file to ready."""

from dataclasses import replace
from typing import Any

import click
from flask.cli import with_appcontext

from webapp.campaigns.commands.choices import changed, with_choices
from webapp.campaigns.commands.group import campaign
from webapp.campaigns.services import emails, readying
from webapp.campaigns.services.checking import check as check_email
from webapp.campaigns.services.checking import check_remote
from webapp.campaigns.services.emails import EmailDetails
from webapp.campaigns.services.previewing import preview as preview_email
from webapp.campaigns.services.testing import send_test
from webapp.core.audit import OPERATOR
from webapp.core.commands import deed


@campaign.command("create")
@click.argument("name")
@with_choices
@deed
def create(name: str, **given: Any) -> int:
    """Write a draft; prints its number."""
    email = emails.create_email(changed(EmailDetails(name), 1, given), OPERATOR)
    return email.id


@campaign.command("edit")
@click.argument("number", type=int)
@click.option("--name", help="What it is called in the back office.")
@click.option("--version", type=int, default=1, help="Whose words; one more adds it, for a test.")
@with_choices
@deed
def edit(number: int, name: str | None, version: int, **given: Any) -> str:
    """Change a draft; what is not named stays."""
    details = emails.details_of(emails.get_email(number))
    if name is not None:
        details = replace(details, name=name)
    emails.edit_email(number, changed(details, version, given), OPERATOR)
    return "It is changed."


@campaign.command("drop-version")
@click.argument("number", type=int)
@click.argument("version", type=int)
@deed
def drop_version(number: int, version: int) -> str:
    """Throw one version of a draft's words away."""
    details = emails.details_of(emails.get_email(number))
    left = [each for place, each in enumerate(details.variants, start=1) if place != version]
    if len(left) == len(details.variants):
        raise click.UsageError(f"It has {len(left)} versions.")
    emails.edit_email(number, replace(details, variants=tuple(left)), OPERATOR)
    return "The version is gone."


@campaign.command("check")
@click.argument("number", type=int)
@click.option("--remote", is_flag=True, help="Also ask whether links and images are there.")
@with_appcontext
def check(number: int, remote: bool) -> None:
    """List what its checks say; exits with 1 when it could not be made ready."""
    email = emails.get_email(number)
    found = [*check_email(email), *(check_remote(email) if remote else [])]
    for finding in found:
        click.echo(f"{finding.level.value:8} {finding.sentence}")
    if not found:
        click.echo("Nothing to mend.")
    if any(finding.level.value == "error" for finding in found):
        raise SystemExit(1)


@campaign.command("preview")
@click.argument("number", type=int)
@click.option("--variant", type=int, default=1, show_default=True)
@click.option("--as", "address", help="The address of a member or prospect.")
@click.option("--html", is_flag=True, help="The HTML part instead of the text.")
@with_appcontext
def preview(number: int, variant: int, address: str | None, html: bool) -> None:
    """Print the mail as one person reads it."""
    words = preview_email(number, variant, address)
    click.echo(words.html if html else f"Subject: {words.subject}\n\n{words.text}")


@campaign.command("test")
@click.argument("number", type=int)
@click.argument("address")
@click.option("--variant", type=int, default=1, show_default=True)
@deed
def test(number: int, address: str, variant: int) -> str:
    """Send a marked test to ADDRESS; it is never counted."""
    send_test(number, variant, address, OPERATOR)
    return f"A test is on its way to {address}."


@campaign.command("ready")
@click.argument("number", type=int)
@deed
def ready(number: int) -> str:
    """Freeze its words and gather its recipients, if its checks pass."""
    readying.make_ready(number, OPERATOR)
    return "It is ready; its recipients are being gathered."


@campaign.command("approve")
@click.argument("number", type=int)
@deed
def approve(number: int) -> str:
    """Approve what somebody else has made ready."""
    readying.approve(number, OPERATOR)
    return "It is approved."


@campaign.command("draft")
@click.argument("number", type=int)
@deed
def draft(number: int) -> str:
    """Take it back to be written on, as long as nothing of it was sent."""
    readying.back_to_draft(number, OPERATOR)
    return "It is a draft again."


@campaign.command("copy")
@click.argument("number", type=int)
@deed
def copy(number: int) -> int:
    """Write a new draft with the same words; prints its number."""
    email = emails.copy_email(number, OPERATOR)
    return email.id


@campaign.command("delete")
@click.argument("number", type=int)
@deed
def delete(number: int) -> str:
    """Throw a draft away."""
    emails.delete_draft(number, OPERATOR)
    return "The draft is gone."
