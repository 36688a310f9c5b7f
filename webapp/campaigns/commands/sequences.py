"""Sequences from the shell: mails that follow an event by themselves."""

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from webapp.campaigns.commands.group import campaign
from webapp.campaigns.models import Sequence, SequenceGoal, SequenceTrigger
from webapp.campaigns.services import sequences as services
from webapp.campaigns.services.sequences import SequenceDetails
from webapp.core.audit import OPERATOR
from webapp.core.db import db


@campaign.group("sequence")
def sequence() -> None:
    """Mails that follow an event: wait, send, and stop at the goal."""


@sequence.command("list")
@with_appcontext
def list_sequences() -> None:
    """List all with their numbers."""
    for row in db.session.scalars(select(Sequence).order_by(Sequence.id)):
        state = "on" if row.active else "off"
        click.echo(
            f"{row.id:6}  {state:3}  {row.trigger.value:17}  {row.goal.value:12}  {row.name}"
        )


@sequence.command("create")
@click.argument("name")
@click.option("--after", type=click.Choice([each.value for each in SequenceTrigger]), required=True)
@click.option("--goal", type=click.Choice([each.value for each in SequenceGoal]), default="none")
@with_appcontext
def create_sequence(name: str, after: str, goal: str) -> None:
    """Make one, switched off and without a mail; prints its number."""
    details = SequenceDetails(name, SequenceTrigger(after), SequenceGoal(goal))
    made = services.create_sequence(details, OPERATOR)
    db.session.commit()
    click.echo(made.id)


@sequence.command("add")
@click.argument("number", type=int)
@click.option("--minutes", type=int, default=0, help="After the mail before it, or the event.")
@with_appcontext
def add_mail(number: int, minutes: int) -> None:
    """Add a mail to the end; prints the number of its draft, to be changed by `edit`."""
    step = services.add_step(number, minutes, OPERATOR)
    db.session.commit()
    click.echo(step.email_id)


@sequence.command("show")
@click.argument("number", type=int)
@with_appcontext
def show_sequence(number: int) -> None:
    """Tell how far people have come, and what became of each of its mails."""
    found = services.figures_of(number)
    click.echo(", ".join(f"{count:,} {state.value}" for state, count in found.runs.items()))
    for step in found.steps:
        click.echo(
            f"{step.number:3}  step {step.step_id}, email {step.email_id}, after"
            f" {step.wait_minutes:,} min: {step.waiting:,} waiting, {step.sent:,} sent,"
            f" {step.opened:,} opened, {step.clicked:,} clicked, {step.left:,} left"
        )


@sequence.command("wait")
@click.argument("step", type=int)
@click.argument("minutes", type=int)
@with_appcontext
def set_wait(step: int, minutes: int) -> None:
    """Have a step wait so many minutes."""
    services.set_wait(step, minutes, OPERATOR)
    db.session.commit()
    click.echo(f"It waits {minutes:,} minutes.")


@sequence.command("order")
@click.argument("number", type=int)
@click.argument("steps", type=int, nargs=-1, required=True)
@with_appcontext
def order_mails(number: int, steps: tuple[int, ...]) -> None:
    """Put the steps into this order; name each of them once."""
    services.reorder_steps(number, steps, OPERATOR)
    db.session.commit()
    click.echo("They are in that order.")


@sequence.command("remove")
@click.argument("step", type=int)
@with_appcontext
def remove_mail(step: int) -> None:
    """Take a step out; a mail that was never sent goes with it."""
    services.remove_step(step, OPERATOR)
    db.session.commit()
    click.echo("It is out.")


@sequence.command("rewrite")
@click.argument("step", type=int)
@with_appcontext
def rewrite_mail(step: int) -> None:
    """Give a step a new draft of the same words; prints its number."""
    email = services.rewrite_step(step, OPERATOR)
    db.session.commit()
    click.echo(email.id)


@sequence.command("on")
@click.argument("number", type=int)
@with_appcontext
def switch_on(number: int) -> None:
    """Begin with whom the event comes to from now on, if the checks of its mails pass."""
    services.activate(number, OPERATOR)
    db.session.commit()
    click.echo("It is on.")


@sequence.command("off")
@click.argument("number", type=int)
@with_appcontext
def switch_off(number: int) -> None:
    """Stop it for everybody; who was on the way doesn't begin again."""
    services.deactivate(number, OPERATOR)
    db.session.commit()
    click.echo("It is off.")


@sequence.command("delete")
@click.argument("number", type=int)
@with_appcontext
def delete_sequence(number: int) -> None:
    """Throw one away that is off and that nobody has begun."""
    services.delete_sequence(number, OPERATOR)
    db.session.commit()
    click.echo("It is gone.")
