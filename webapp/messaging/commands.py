"""The operator's commands for mail: who must not be written to, and the key that signs it."""

from typing import BinaryIO, TextIO

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import OperationalError

from webapp.core.audit import OPERATOR
from webapp.core.commands import Sentences
from webapp.core.db import db
from webapp.core.queue import Queue, ring
from webapp.messaging.gateway.dkim import current_signer
from webapp.messaging.models import SuppressionReason, SuppressionScope
from webapp.messaging.services.reports import MAX_BYTES, READ, receive_message
from webapp.messaging.services.suppressing import (
    export_suppressions,
    import_suppressions,
    suppress,
    unsuppress,
)


@click.group(cls=Sentences)
def mail() -> None:
    """Who gets mail, who gets none, and how it is signed."""


@mail.command("dkim-record")
@with_appcontext
def dkim_record() -> None:
    """Print the DNS record that publishes the key in DKIM_PRIVATE_KEY."""
    signer = current_signer()
    if signer is None:
        raise click.ClickException(
            "Mails are not signed: set DKIM_DOMAIN, DKIM_SELECTOR and DKIM_PRIVATE_KEY."
        )
    click.echo(signer.zone_line)


@mail.command("suppress")
@click.argument("address")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in SuppressionScope]),
    default=SuppressionScope.ALL.value,
    show_default=True,
    help="marketing still lets mails about orders and accounts through.",
)
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in SuppressionReason]),
    default=SuppressionReason.MANUAL.value,
    show_default=True,
)
@with_appcontext
def suppress_command(address: str, scope: str, reason: str) -> None:
    """Send nothing to ADDRESS any more."""
    row = suppress(
        address, SuppressionScope(scope), SuppressionReason(reason), "operator", by=OPERATOR
    )
    db.session.commit()
    what = "no mail" if row.scope is SuppressionScope.ALL else "no marketing"
    click.echo(f"{row.email} gets {what} (reason: {row.reason.value}, since {row.at:%Y-%m-%d}).")


@mail.command("unsuppress")
@click.argument("address")
@with_appcontext
def unsuppress_command(address: str) -> None:
    """Let mails to ADDRESS through again."""
    unsuppress(address, OPERATOR)
    db.session.commit()
    click.echo(f"{address} may be written to again.")


@mail.group("suppressions")
def suppressions() -> None:
    """The suppression list as a CSV file."""


@suppressions.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True), default="-")
@with_appcontext
def export_command(file: TextIO) -> None:
    """Write the list to FILE, or to the standard output."""
    for line in export_suppressions():
        file.write(line)


@suppressions.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@with_appcontext
def import_command(file: BinaryIO, dry_run: bool) -> None:
    """Add the addresses of FILE to the list: all of them, or none.

    FILE is our own export, or one of Mailchimp, listmonk, SendGrid or Amazon SES.
    """
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException("The file is not UTF-8. Save it as “CSV UTF-8”.") from None
    report = import_suppressions(text, OPERATOR, dry_run=dry_run)
    db.session.commit()
    for sentence in report.sentences():
        click.echo(sentence)
    if report.problem_count:
        raise click.exceptions.Exit(1)


# sysexits.h: the mail server keeps the message and tries again.
EX_TEMPFAIL = 75


@mail.command("receive")
@click.argument("file", type=click.File("rb"), default="-")
@with_appcontext
def receive_command(file: BinaryIO) -> None:
    """Take in one message that came to BOUNCE_ADDRESS, from FILE or the standard input.

    For a mail server's pipe: Postfix's aliases(5), Exim's pipe transport. The same message again
    changes nothing. Exits with 75 when the database is away, so that the server tries again.
    """
    content = file.read(MAX_BYTES + 1)
    try:
        is_new = receive_message(content)
        db.session.commit()
    except OperationalError:
        click.echo("The database can't be used now. Try again later.", err=True)
        raise click.exceptions.Exit(EX_TEMPFAIL) from None
    if is_new:
        ring(READ, Queue.MAIL)
    click.echo("Received; it is read in a moment." if is_new else "Received before.")
