"""What became of mails, as the shell shows it."""

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from webapp.campaigns.codes import write_code
from webapp.campaigns.commands.group import campaign
from webapp.campaigns.models import Email, EmailRecipient, RecipientState
from webapp.campaigns.services.emails import get_email
from webapp.campaigns.services.worth import compare, links_of, worth_of
from webapp.core.db import db
from webapp.core.money import format_money


@campaign.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@with_appcontext
def list_(limit: int) -> None:
    """List the newest mails with their numbers."""
    for email in db.session.scalars(select(Email).order_by(Email.id.desc()).limit(limit)):
        click.echo(f"{email.id:6}  {email.state.value:10}  {email.population:10,}  {email.name}")


@campaign.command("results")
@click.argument("number", type=int)
@with_appcontext
def results(number: int) -> None:
    """Show what it was worth, people and machines apart, and its links."""
    worth = worth_of(number)
    for name, count in (
        ("delivered", worth.delivered),
        ("opened", worth.opened),
        ("clicked", worth.clicked),
        ("left", worth.left),
        ("bounced", worth.bounced),
        ("complained", worth.complained),
    ):
        click.echo(f"{name:12}{count:12,}  {worth.share(count):7.1%}")
    click.echo(f"{'machines':12}{worth.machine_opens:12,}  opens, {worth.machine_clicks:,} clicks")
    click.echo(f"{'orders':12}{worth.orders:12,}  {_money(worth.revenue)}")
    click.echo(f"{'assisted':12}{worth.assisted_orders:12,}  {_money(worth.assisted_revenue)}")
    for link in links_of(number):
        click.echo(f"{link.clicks:8,} clicks  {link.orders:6,} orders  {link.url}")


@campaign.command("compare")
@click.argument("numbers", type=int, nargs=-1, required=True)
@with_appcontext
def compare_(numbers: tuple[int, ...]) -> None:
    """Show several mails side by side."""
    for worth in compare(numbers):
        click.echo(
            f"{worth.email_id:6}  {worth.delivered:10,} delivered"
            f"  {worth.share(worth.opened):6.1%} opened  {worth.share(worth.clicked):6.1%} clicked"
            f"  {worth.orders:6,} orders  {_money(worth.revenue) or '-'}  {worth.name}"
        )


def _money(revenue: dict[str, int]) -> str:
    return ", ".join(format_money(amount, currency) for currency, amount in revenue.items())


@campaign.command("recipients")
@click.argument("number", type=int)
@click.option(
    "--state", type=click.Choice([each.value for each in RecipientState]), help="Only those."
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@with_appcontext
def recipients(number: int, state: str | None, limit: int) -> None:
    """List who gets it: code, state, tries, address and what the mail server said."""
    get_email(number)
    wanted = select(EmailRecipient).where(EmailRecipient.email_id == number)
    if state:
        wanted = wanted.where(EmailRecipient.state == RecipientState(state))
    for row in db.session.scalars(wanted.order_by(EmailRecipient.id).limit(limit)):
        code = write_code(row.email_id, row.id, row.secret)
        reply = f"  {row.smtp_reply}" if row.smtp_reply else ""
        click.echo(f"{code}  {row.state.value:10}  {row.attempts:2}  {row.address}{reply}")
