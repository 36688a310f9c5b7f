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
from webapp.core.db import db

LOOK_SECONDS = 1
MOMENTS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"]


@campaign.command("populate")
@click.argument("number", type=int)
@with_appcontext
def populate(number: int) -> None:
    """Give everybody of its audience who has none a row with a code."""
    added = add_recipients(number)
    db.session.commit()
    click.echo(f"{added:,} recipients were added.")


@campaign.command("schedule")
@click.argument("number", type=int)
@click.argument("at", type=click.DateTime(MOMENTS))
@with_appcontext
def schedule(number: int, at: datetime) -> None:
    """Have it sent AT a moment in UTC, like 2030-05-01T09:00."""
    sending.schedule(number, at.replace(tzinfo=UTC), OPERATOR)
    db.session.commit()
    click.echo(f"It will be sent at {at:%Y-%m-%d %H:%M} UTC.")


@campaign.command("send")
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_appcontext
def send(number: int, yes: bool) -> None:
    """Send it now."""
    people = sending.progress(number).pending
    if not yes:
        click.confirm(f"Send this mail to {people:,} people?", abort=True)
    sending.start(number, OPERATOR)
    db.session.commit()
    click.echo(f"It is on its way to {people:,} people.")


@campaign.command("pause")
@click.argument("number", type=int)
@with_appcontext
def pause(number: int) -> None:
    """Hold it; whoever has it has it."""
    sending.pause(number, OPERATOR)
    db.session.commit()
    click.echo("It is paused.")


@campaign.command("resume")
@click.argument("number", type=int)
@with_appcontext
def resume(number: int) -> None:
    """Send what is missing."""
    sending.resume(number, OPERATOR)
    db.session.commit()
    click.echo("It goes on.")


@campaign.command("cancel")
@click.argument("number", type=int)
@with_appcontext
def cancel(number: int) -> None:
    """End it for good: whoever has not got it never will."""
    sending.cancel(number, OPERATOR)
    db.session.commit()
    click.echo("It is cancelled.")


@campaign.command("send-again")
@click.argument("number", type=int)
@click.argument("address")
@with_appcontext
def send_again(number: int, address: str) -> None:
    """Send it once more to ADDRESS, where it failed or its fate is unknown."""
    found = select(EmailRecipient.id).where(
        EmailRecipient.email_id == number, EmailRecipient.address == address.strip().lower()
    )
    recipient_id = db.session.scalar(found)
    if recipient_id is None:
        raise click.ClickException(f"This mail is not for {address}.")
    sending.send_again(number, recipient_id, OPERATOR)
    db.session.commit()
    click.echo(f"It is on its way to {address} once more.")


@campaign.command("resend")
@click.argument("number", type=int)
@click.option("--subject", help="Another subject for those who did not open the first.")
@with_appcontext
def resend(number: int, subject: str | None) -> None:
    """Write a draft for those who got it and did not open it; prints its number."""
    email = resend_to_non_openers(number, subject, OPERATOR)
    db.session.commit()
    click.echo(email.id)


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
