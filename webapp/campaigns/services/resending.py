"""Sends a mail once more, to those whom it reached and who did nothing with it."""

from dataclasses import replace

from sqlalchemy import exists, select

from webapp.campaigns.errors import WrongEmailState
from webapp.campaigns.models import Email, EmailState
from webapp.campaigns.services.emails import copy_email, details_of, edit_email, get_email
from webapp.core.audit import Actor, record
from webapp.core.db import db, take_turns

OVER = (EmailState.SENT, EmailState.CANCELLED)


def resend_to_non_openers(email_id: int, subject: str | None, by: Actor) -> Email:
    """Make a draft for those who got ``email_id`` and haven't opened it; flushes.

    Who clicked, ordered, left, bounced or complained is not among them either; that, consent and
    suppression are asked when its recipients are gathered, and the last two again when each mail
    is sent. ``subject`` None keeps the old one; the variant that won an A/B test goes alone.
    Raises NoSuchEmail, WrongEmailState or InvalidEmail.
    """
    # Two who press at once would make two of it, and people would get both.
    take_turns(f"email:resend:{email_id}")
    first = get_email(email_id)
    if first.state not in OVER:
        raise WrongEmailState(
            f"This email is {first.state.value}. It can be sent again to those who didn't open it "
            "once it is sent."
        )
    if first.resend_of is not None:
        raise WrongEmailState("This email was sent for the second time. A third is too many.")
    if not counts_readers(first):
        raise WrongEmailState(
            "Neither opens nor clicks of this email were counted, so nobody is known not to have "
            "opened it: all would get it twice."
        )
    other = exists().where(Email.resend_of == first.id, Email.state != EmailState.CANCELLED)
    if db.session.scalar(select(other)):
        raise WrongEmailState("There is an email already that sends this one again.")
    draft = copy_email(first.id, by)
    draft.resend_of = first.id
    db.session.flush()
    details = details_of(draft)
    words = details.variants[(first.ab_winner or 1) - 1]
    if subject is not None:
        words = replace(words, subject=subject)
    edit_email(draft.id, replace(details, name=_name(first), variants=(words,), ab_share=None), by)
    record(by, "email.resend_made", f"email:{first.id}", copy=draft.id)
    db.session.flush()
    return draft


def counts_readers(email: Email) -> bool:
    """Say whether it is noted who opened a mail or clicked in it."""
    return email.track_opens or email.track_clicks


def _name(first: Email) -> str:
    return f"{first.name[:100]} (again)"
