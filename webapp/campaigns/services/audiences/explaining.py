"""Why somebody gets a mail or not, in a sentence for whoever they ask."""

from sqlalchemy import Row, Subquery, select

from webapp.accounts.models import User
from webapp.campaigns.errors import NoSuchEmail
from webapp.campaigns.models import Email, EmailRecipient, EmailType, RecipientState
from webapp.campaigns.services.audiences.conditions import (
    compile_part,
    compile_rules,
    read_rules,
)
from webapp.campaigns.services.audiences.describing import describe_part
from webapp.campaigns.services.audiences.people import did_not_open, everyone
from webapp.campaigns.services.audiences.rules import Match, Rules
from webapp.core.db import db
from webapp.messaging.models import MailSuppression
from webapp.messaging.services.addresses import folded
from webapp.messaging.services.consent import TOPICS, consents_of

STATES = {
    RecipientState.PENDING: "It is waiting to be sent to them.",
    RecipientState.CLAIMED: "It is being sent to them now.",
    RecipientState.SENT: "It was sent to them on {on}.",
    RecipientState.FAILED: "Their mail server refused it: {reply}.",
    RecipientState.UNKNOWN: (
        "Sending was cut off at their mail, so nobody knows whether it arrived: {reply}."
    ),
    RecipientState.SUPPRESSED: (
        "They were among its recipients, and it was withheld: they had left or were suppressed "
        "by the time it was their turn."
    ),
}


def explain_address(email_id: int, address: str) -> str:
    """Return why ``address`` gets the mail or doesn't. Raises NoSuchEmail."""
    email = db.session.get(Email, email_id)
    if email is None:
        raise NoSuchEmail
    address = folded(address)
    row = db.session.scalar(
        select(EmailRecipient).where(
            EmailRecipient.address == address, EmailRecipient.email_id == email_id
        )
    )
    if row is not None:
        return _has_row(row)
    why = _unknown(address) or _outside(email, address) or _unwilling(email, address)
    if why:
        return why
    if email.populated_at is None:
        return "They get it: they will be among its recipients once these are gathered."
    return (
        "They could get it, but weren't among the people when its recipients were gathered on "
        f"{email.populated_at:%d %B %Y at %H:%M} UTC. Gathering new ones adds them."
    )


def _has_row(row: EmailRecipient) -> str:
    on = f"{row.sent_at:%d %B %Y at %H:%M} UTC" if row.sent_at else "a day nobody noted"
    reply = (row.smtp_reply or "it gave no reason").rstrip(".")
    return STATES[row.state].format(on=on, reply=reply)


def _unknown(address: str) -> str:
    if _find(everyone(EmailType.BOTH), address) is not None:
        return ""
    users = db.session.scalars(select(User).where(User.email == address, User.erased_at.is_(None)))
    for user in users:
        if user.closed_at is not None:
            return "They asked to be forgotten: their account is closed and will be erased."
        if user.email_verified_at is None:
            return "They have an account, but never proved that the address is theirs."
        if not user.active:
            return "Their account is shut."
    return "Nobody with this address is a member or a prospect."


def _find(person: Subquery, address: str) -> Row[tuple[str]] | None:
    return db.session.execute(
        select(person.c.address).where(person.c.address == address)
    ).one_or_none()


def _outside(email: Email, address: str) -> str:
    """Return how the mail's kind, audience or exclusion keeps a known person out."""
    person = everyone(email.type)
    if _find(person, address) is None:
        kind = "members" if email.type is EmailType.MEMBER else "prospects"
        return f"This mail goes to {kind} only, and they are none of them."
    if email.resend_of is not None:
        again = select(did_not_open(person, email.resend_of)).where(person.c.address == address)
        if not db.session.scalar(again):
            return (
                "This mail goes again to those who got the first and did nothing with it: they "
                "didn't get it, or they opened it, ordered, left or bounced."
            )
    elif email.audience is not None:
        missed = _missed(person, read_rules(email.audience.rules), address)
        if missed:
            return f"The audience “{email.audience.name}” leaves them out: {missed}."
    if email.exclude is not None:
        rules = read_rules(email.exclude.rules)
        inside = select(compile_rules(person, rules)).where(person.c.address == address)
        if db.session.scalar(inside):
            return f"They are in “{email.exclude.name}”, which this mail leaves out."
    return ""


def _missed(person: Subquery, rules: Rules, address: str) -> str:
    """Return in words what keeps somebody outside; empty for who is inside."""
    mine = person.c.address == address
    if db.session.scalar(select(compile_rules(person, rules)).where(mine)):
        return ""
    answers = db.session.execute(
        select(*(compile_part(person, part) for part in rules.of)).where(mine)
    ).one()
    wrong_when = rules.match is Match.NONE
    told = [
        describe_part(part)
        for part, met in zip(rules.of, answers, strict=True)
        if bool(met) is wrong_when
    ]
    if rules.match is Match.NONE:
        return f"it takes nobody who {' or '.join(told)}"
    joint = " or " if rules.match is Match.ANY else " and "
    return f"it is not true that this person {joint.join(told)}"


def _unwilling(email: Email, address: str) -> str:
    row = db.session.scalar(select(MailSuppression).where(MailSuppression.email == address))
    if row is not None:
        detail = f" ({row.detail})" if row.detail else ""
        return (
            f"The address is suppressed since {row.at:%d %B %Y}, because of: {row.reason.value}"
            f"{detail}, known from {row.source}."
        )
    title = next(each.title for each in TOPICS if each.topic is email.topic)
    answer = consents_of(address).get(email.topic)
    if answer is None:
        return f"They never said that they want “{title}”."
    if not answer.wanted:
        return f"They said no to “{title}” on {answer.at:%d %B %Y}, through {answer.source}."
    return ""
