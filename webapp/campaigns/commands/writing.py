"""Writing a mail from the shell: from a file to ready."""

from typing import TextIO

import click
from flask.cli import with_appcontext

from webapp.campaigns.commands.group import campaign
from webapp.campaigns.models import EmailFormat, EmailType
from webapp.campaigns.services import emails, readying
from webapp.campaigns.services.checking import check as check_email
from webapp.campaigns.services.checking import check_remote
from webapp.campaigns.services.emails import EmailDetails, VariantDetails
from webapp.campaigns.services.previewing import preview as preview_email
from webapp.campaigns.services.testing import send_test
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.messaging.models import MailTopic


@campaign.command("create")
@click.argument("name")
@click.option("--subject", required=True, help="May hold variables: {{ first_name | there }}.")
@click.option("--preheader", default="", help="What inboxes show after the subject.")
@click.option("--body", type=click.File("r", encoding="utf-8"), required=True, help="- is stdin.")
@click.option("--text", type=click.File("r", encoding="utf-8"), help="A text part of your own.")
@click.option(
    "--format",
    "format_",
    type=click.Choice([each.value for each in EmailFormat]),
    default="markdown",
)
@click.option("--bare", is_flag=True, help="HTML or MJML without the shop's layout.")
@click.option(
    "--type", "type_", type=click.Choice([each.value for each in EmailType]), default="both"
)
@click.option(
    "--topic", type=click.Choice([each.value for each in MailTopic]), default="newsletter"
)
@click.option("--audience", type=int, help="The number of a saved audience.")
@click.option("--exclude", type=int, help="The number of an audience to leave out.")
@click.option("--sender", type=int, help="The number of a sender.")
@click.option("--public", is_flag=True, help="Show it in the archive once it is sent.")
@with_appcontext
def create(
    name: str,
    subject: str,
    preheader: str,
    body: TextIO,
    text: TextIO | None,
    format_: str,
    bare: bool,
    type_: str,
    topic: str,
    audience: int | None,
    exclude: int | None,
    sender: int | None,
    public: bool,
) -> None:
    """Write a draft; prints its number."""
    words = VariantDetails(
        subject=subject,
        preheader=preheader,
        body=body.read(),
        written_text=text.read() if text else "",
    )
    details = EmailDetails(
        name,
        variants=(words,),
        type=EmailType(type_),
        topic=MailTopic(topic),
        format=EmailFormat(format_),
        with_layout=not bare,
        sender_id=sender,
        audience_id=audience,
        exclude_id=exclude,
        public=public,
    )
    email = emails.create_email(details, OPERATOR)
    db.session.commit()
    click.echo(email.id)


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
@with_appcontext
def test(number: int, address: str, variant: int) -> None:
    """Send a marked test to ADDRESS; it is never counted."""
    send_test(number, variant, address, OPERATOR)
    db.session.commit()
    click.echo(f"A test is on its way to {address}.")


@campaign.command("ready")
@click.argument("number", type=int)
@with_appcontext
def ready(number: int) -> None:
    """Freeze its words and gather its recipients, if its checks pass."""
    readying.make_ready(number, OPERATOR)
    db.session.commit()
    click.echo("It is ready; its recipients are being gathered.")


@campaign.command("approve")
@click.argument("number", type=int)
@with_appcontext
def approve(number: int) -> None:
    """Approve what somebody else has made ready."""
    readying.approve(number, OPERATOR)
    db.session.commit()
    click.echo("It is approved.")


@campaign.command("draft")
@click.argument("number", type=int)
@with_appcontext
def draft(number: int) -> None:
    """Take it back to be written on, as long as nothing of it was sent."""
    readying.back_to_draft(number, OPERATOR)
    db.session.commit()
    click.echo("It is a draft again.")


@campaign.command("copy")
@click.argument("number", type=int)
@with_appcontext
def copy(number: int) -> None:
    """Write a new draft with the same words; prints its number."""
    email = emails.copy_email(number, OPERATOR)
    db.session.commit()
    click.echo(email.id)


@campaign.command("delete")
@click.argument("number", type=int)
@with_appcontext
def delete(number: int) -> None:
    """Throw a draft away."""
    emails.delete_draft(number, OPERATOR)
    db.session.commit()
    click.echo("The draft is gone.")
