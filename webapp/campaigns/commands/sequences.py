"""Sequences from the shell: mails that follow an event by themselves."""

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from webapp.campaigns.commands.group import campaign
from webapp.campaigns.models import Sequence, SequenceGoal, SequenceTrigger
from webapp.campaigns.services import sequences as services
from webapp.campaigns.services.sequences import SequenceDetails
from webapp.core.audit import OPERATOR
from webapp.core.commands import deed
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
@deed
def create_sequence(name: str, after: str, goal: str) -> int:
    """Make one, switched off and without a mail; prints its number."""
    details = SequenceDetails(name, SequenceTrigger(after), SequenceGoal(goal))
    made = services.create_sequence(details, OPERATOR)
    return made.id


@sequence.command("add")
@click.argument("number", type=int)
@click.option("--minutes", type=int, default=0, help="After the mail before it, or the event.")
@deed
def add_mail(number: int, minutes: int) -> int:
    """Add a mail to the end; prints the number of its draft, to be changed by `edit`."""
    step = services.add_step(number, minutes, OPERATOR)
    return step.email_id


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
@deed
def set_wait(step: int, minutes: int) -> str:
    """Have a step wait so many minutes."""
    services.set_wait(step, minutes, OPERATOR)
    return f"It waits {minutes:,} minutes."


@sequence.command("order")
@click.argument("number", type=int)
@click.argument("steps", type=int, nargs=-1, required=True)
@deed
def order_mails(number: int, steps: tuple[int, ...]) -> str:
    """Put the steps into this order; name each of them once."""
    services.reorder_steps(number, steps, OPERATOR)
    return "They are in that order."


@sequence.command("remove")
@click.argument("step", type=int)
@deed
def remove_mail(step: int) -> str:
    """Take a step out; a mail that was never sent goes with it."""
    services.remove_step(step, OPERATOR)
    return "It is out."


@sequence.command("rewrite")
@click.argument("step", type=int)
@deed
def rewrite_mail(step: int) -> int:
    """Give a step a new draft of the same words; prints its number."""
    email = services.rewrite_step(step, OPERATOR)
    return email.id


@sequence.command("on")
@click.argument("number", type=int)
@deed
def switch_on(number: int) -> str:
    """Begin with whom the event comes to from now on, if the checks of its mails pass."""
    services.activate(number, OPERATOR)
    return "It is on."


@sequence.command("off")
@click.argument("number", type=int)
@deed
def switch_off(number: int) -> str:
    """Stop it for everybody; who was on the way doesn't begin again."""
    services.deactivate(number, OPERATOR)
    return "It is off."


@sequence.command("delete")
@click.argument("number", type=int)
@deed
def delete_sequence(number: int) -> str:
    """Throw one away that is off and that nobody has begun."""
    services.delete_sequence(number, OPERATOR)
    return "It is gone."
