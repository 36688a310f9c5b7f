"""Joining the newsletter: asked for by anybody, confirmed by whoever reads the mailbox."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from sqlalchemy import select

from webapp.accounts.models import ProspectSource
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.prospects import note_prospect
from webapp.campaigns.services.settings import get_settings
from webapp.core import clock
from webapp.core.db import db
from webapp.core.queue import Queue, enqueue
from webapp.core.shop import get_shop
from webapp.core.signing import InvalidToken, sign, unsign
from webapp.core.state import current_config
from webapp.messaging.models import Mail, MailTopic
from webapp.messaging.queries import count_lately
from webapp.messaging.services import post
from webapp.messaging.services.consent import give_consent, wants
from webapp.messaging.services.suppressing import forgive

PURPOSE = "newsletter"
KIND = "newsletter_confirm"
# Mails that hold a key lose their words after three days; the key goes with them.
LASTS = timedelta(days=3)
# What a stranger can make us send to one mailbox.
MOST_A_DAY = 5
MAX_NAME = 100
SOURCE = "newsletter form"
BEGIN = "jobs.campaigns.begin_sequences"


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks for the newsletter, by what was typed."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A wish that waits for its mailbox's yes. ``is_in``: it was given before."""

    email: str
    name: str
    asked_at: datetime
    is_in: bool


def ask(wish: Wish, *, own: bool = False) -> bool:
    """Take a wish; returns whether the mailbox still has to confirm it. Flushes.

    Nothing here depends on whether the address is known, so neither does the answer. ``own`` is a
    member's wish for the address they have shown to be theirs. Raises InvalidEmail.
    """
    email = read_email(wish.email)
    if own or not get_settings().double_opt_in:
        _join(email, wish.name, SOURCE)
        return False
    if count_lately(email, (KIND,), clock.now() - timedelta(days=1)) < MOST_A_DAY:
        _invite(email, wish.name)
    return True


def _invite(email: str, name: str) -> None:
    """Post the question. The link names the mail instead of the address: links end up in logs."""
    nonce = secrets.token_hex(16)
    token = sign(PURPOSE, {"mail": nonce, "name": name[:MAX_NAME]})
    post(
        KIND,
        email,
        {
            "link": f"{current_config().base_url.rstrip('/')}/newsletter/confirm/{token}",
            "days": LASTS.days,
        },
        dedupe_key=f"{KIND}:{nonce}",
        subject_ref=None,
        # Whoever else could read the link could say yes in the mailbox's name.
        secret=True,
    )


def read_invitation(token: str) -> Invitation:
    """Return what a link confirms. Raises InvalidToken or ExpiredToken."""
    value = unsign(PURPOSE, token, int(LASTS.total_seconds()))
    key = f"{KIND}:{value['mail']}"
    row = db.session.execute(
        select(Mail.recipient, Mail.created_at).where(Mail.dedupe_key == key)
    ).first()
    if row is None:
        raise InvalidToken
    is_in = wants(row.recipient, MailTopic.NEWSLETTER)
    return Invitation(row.recipient, value["name"], row.created_at, is_in)


def confirm(invitation: Invitation) -> None:
    """Note the mailbox's yes: the person, their consent with its proof, what follows; flushes."""
    asked = f"{SOURCE}, asked {invitation.asked_at:%Y-%m-%d %H:%M} UTC, confirmed by mail"
    forgive(invitation.email)
    _join(invitation.email, invitation.name, asked)


def _join(email: str, name: str, source: str) -> None:
    prospect = note_prospect(email, ProspectSource.NEWSLETTER, name)
    before = wants(email, MailTopic.NEWSLETTER)
    give_consent(email, MailTopic.NEWSLETTER, True, source)
    if not before:
        subject = f"prospect:{prospect.id}"
        enqueue(BEGIN, "newsletter_joined", prospect.id, queue=Queue.BULK, subject=subject)


def embed_snippet() -> str:
    """Return the HTML that shows the form on another site, in a frame of its own.

    Only the sites named in the campaigns' settings may show it.
    """
    address, name = _form_address(), escape(get_shop().name)
    return (
        f'<iframe src="{address}" title="{name}: newsletter" loading="lazy" '
        'style="width:100%;max-width:27rem;height:21rem;border:0"></iframe>'
    )


def form_snippet() -> str:
    """Return a plain form for another site, in that site's own looks: it ends on a page of ours.

    It carries no key of ours, so that page asks for one more press.
    """
    return (
        f'<form action="{_form_address()}" method="post" target="_top">\n'
        '  <label>Email <input type="email" name="email" required></label>\n'
        "  <button>Subscribe</button>\n"
        "</form>"
    )


def _form_address() -> str:
    return escape(f"{current_config().base_url.rstrip('/')}/newsletter/form")
