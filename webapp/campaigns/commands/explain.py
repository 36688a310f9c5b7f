"""`flask mail explain`: every mail to one person, and why others were withheld."""

from collections.abc import Iterator
from datetime import datetime

import click
from flask.cli import with_appcontext
from sqlalchemy import func, select

from webapp.campaigns.models import Email, EmailRecipient, EmailState
from webapp.campaigns.services.audiences import explain_address
from webapp.core.db import db
from webapp.messaging.models import Mail, MailBounce, MailSuppression
from webapp.messaging.services.addresses import folded
from webapp.messaging.services.consent import TOPICS, consents_of

Line = tuple[datetime, str]
NEWEST_WITHHELD = 20


@click.command("explain")
@click.argument("address")
@with_appcontext
def explain(address: str) -> None:
    """Tell every mail to ADDRESS, what came back, and why other mails did not go there."""
    for line in standing(address):
        click.echo(line)
    history = sorted([*_mails(address), *_campaigns(address), *_bounces(address)])
    click.echo(f"\n{len(history):,} mails and reports:")
    for at, line in history:
        click.echo(f"{at:%Y-%m-%d %H:%M:%S}  {line}")
    withheld = list(_withheld(address))
    if withheld:
        click.echo("\nWithheld:")
    for line in withheld:
        click.echo(line)


def standing(address: str) -> Iterator[str]:
    """Yield what holds for the address now: suppression, and the topics it asked for."""
    row = db.session.scalar(select(MailSuppression).where(MailSuppression.email == folded(address)))
    if row is None:
        yield "Not on the suppression list."
    else:
        kind = "Gets no mail at all" if row.scope.value == "all" else "Gets no marketing"
        yield f"{kind} since {row.at:%Y-%m-%d %H:%M}: {row.reason.value} ({row.source})."
    known = consents_of(address)
    for topic in TOPICS:
        answer = known.get(topic.topic)
        if answer is None:
            yield f"{topic.title}: never asked for."
        else:
            said = "wanted" if answer.wanted else "not wanted"
            yield f"{topic.title}: {said} since {answer.at:%Y-%m-%d %H:%M} ({answer.source})."


def _mails(address: str) -> Iterator[Line]:
    spelled = {address.strip(), address.strip().lower(), folded(address)}
    columns = Mail.created_at, Mail.state, Mail.kind, Mail.subject, Mail.smtp_reply
    found = select(*columns).where(Mail.recipient.in_(spelled))
    for at, state, kind, subject, reply in db.session.execute(found):
        yield at, _line(state.value, kind, subject, reply)


def _campaigns(address: str) -> Iterator[Line]:
    found = (
        select(EmailRecipient, Email.name, Email.populated_at)
        .join(Email, Email.id == EmailRecipient.email_id)
        .where(EmailRecipient.address == address.strip().lower())
    )
    for row, name, populated_at in db.session.execute(found):
        at = row.sent_at or populated_at or row.due_at
        line = _line(row.state.value, f"email:{row.email_id}", name, row.smtp_reply)
        acts = {
            "opened": row.opened_at,
            "clicked": row.clicked_at,
            "bounced": row.bounced_at,
            "complained": row.complained_at,
            "left": row.left_at,
        }
        told = [f"{what} {when:%Y-%m-%d %H:%M}" for what, when in acts.items() if when]
        yield at, "; ".join([line, *told])


def _bounces(address: str) -> Iterator[Line]:
    for row in db.session.scalars(select(MailBounce).where(MailBounce.email == folded(address))):
        yield row.at, _line(row.kind.value, row.source, row.status, row.diagnostic)


def _line(state: str, kind: str, words: str, reply: str | None) -> str:
    return f"{state:10}  {kind:20}  {words}" + (f"  [{reply}]" if reply else "")


def _withheld(address: str) -> Iterator[str]:
    """Yield why each of the newest mails to many has no row for the address."""
    has_row = select(EmailRecipient.email_id).where(
        EmailRecipient.address == address.strip().lower(), EmailRecipient.email_id == Email.id
    )
    left = (EmailState.DRAFT, EmailState.AUTOMATED)
    newest = (
        select(Email.id, Email.name)
        .where(Email.state.not_in(left), ~has_row.exists())
        .order_by(func.coalesce(Email.started_at, Email.ready_at).desc(), Email.id.desc())
        .limit(NEWEST_WITHHELD)
    )
    for email_id, name in db.session.execute(newest).all():
        yield f"email:{email_id}  {name}: {explain_address(email_id, address)}"
