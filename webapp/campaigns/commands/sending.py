"""Sending a mail from the shell, and watching it go."""

import time
from datetime import UTC, datetime

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from webapp.campaigns.commands.group import campaign
from webapp.campaigns.models import EmailRecipient, EmailState
from webapp.campaigns.services import sending
from webapp.campaigns.services.populating import populate as add_recipients
from webapp.campaigns.services.resending import resend_to_non_openers
from webapp.campaigns.services.sending import Progress
from webapp.core.audit import OPERATOR
from webapp.core.commands import deed
from webapp.core.db import db

LOOK_SECONDS = 1
MOMENTS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"]


@campaign.command("populate")
@click.argument("number", type=int)
@deed
def populate(number: int) -> str:
    """Give everybody of its audience who has none a row with a code."""
    added = add_recipients(number)
    return f"{added:,} recipients were added."


@campaign.command("schedule")
@click.argument("number", type=int)
@click.argument("at", type=click.DateTime(MOMENTS))
@deed
def schedule(number: int, at: datetime) -> str:
    """Have it sent AT a moment in UTC, like 2030-05-01T09:00."""
    sending.schedule(number, at.replace(tzinfo=UTC), OPERATOR)
    return f"It will be sent at {at:%Y-%m-%d %H:%M} UTC."


@campaign.command("send")
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Don't ask.")
@deed
def send(number: int, yes: bool) -> str:
    """Send it now."""
    people = sending.progress(number).pending
    if not yes:
        click.confirm(f"Send this mail to {people:,} people?", abort=True)
    sending.start(number, OPERATOR)
    return f"It is on its way to {people:,} people."


@campaign.command("pause")
@click.argument("number", type=int)
@deed
def pause(number: int) -> str:
    """Hold it; whoever has it has it."""
    sending.pause(number, OPERATOR)
    return "It is paused."


@campaign.command("resume")
@click.argument("number", type=int)
@deed
def resume(number: int) -> str:
    """Send what is missing."""
    sending.resume(number, OPERATOR)
    return "It goes on."


@campaign.command("cancel")
@click.argument("number", type=int)
@deed
def cancel(number: int) -> str:
    """End it for good: whoever has not got it never will."""
    sending.cancel(number, OPERATOR)
    return "It is cancelled."


@campaign.command("send-again")
@click.argument("number", type=int)
@click.argument("address")
@deed
def send_again(number: int, address: str) -> str:
    """Send it once more to ADDRESS, where it failed or its fate is unknown."""
    found = select(EmailRecipient.id).where(
        EmailRecipient.email_id == number, EmailRecipient.address == address.strip().lower()
    )
    recipient_id = db.session.scalar(found)
    if recipient_id is None:
        raise click.ClickException(f"This mail is not for {address}.")
    sending.send_again(number, recipient_id, OPERATOR)
    return f"It is on its way to {address} once more."


@campaign.command("resend")
@click.argument("number", type=int)
@click.option("--subject", help="Another subject for those who did not open the first.")
@deed
def resend(number: int, subject: str | None) -> int:
    """Write a draft for those who got it and did not open it; prints its number."""
    email = resend_to_non_openers(number, subject, OPERATOR)
    return email.id


@campaign.command("progress")
@click.argument("number", type=int)
@click.option("--watch", is_flag=True, help="A line a second until it is over.")
@with_appcontext
def progress(number: int, watch: bool) -> None:
    """Tell how far it has come."""
    while True:
        reached = sending.progress(number)
        click.echo(_line(reached))
        if not watch or reached.state is not EmailState.SENDING:
            return
        db.session.rollback()
        time.sleep(LOOK_SECONDS)


def _line(reached: Progress) -> str:
    left = "" if reached.seconds_left is None else f", {reached.seconds_left:,} s left"
    return (
        f"{reached.state.value}: {reached.sent:,} of {reached.population:,} sent,"
        f" {reached.failed:,} failed, {reached.unknown:,} unknown,"
        f" {reached.suppressed:,} suppressed, {reached.pending:,} to come;"
        f" {reached.rate:,.0f} a second{left}"
    )
