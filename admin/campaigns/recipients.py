"""The room of recipients: who got a mail, who didn't, and why."""

import re
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from flask import request, url_for
from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select
from sqlalchemy.orm import load_only

from admin.accounts.dossier import consents_of, mails_of
from admin.base import Column, Filter, Link, action, page
from admin.campaigns.progress import GONE_OUT
from admin.campaigns.story import orders_of, tell
from admin.campaigns.tagging import TagPages
from admin.campaigns.whereabouts import (
    list_sent,
    people_links,
    suppression_of,
    typed_address,
)
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.codes import read_code
from webapp.campaigns.models import (
    Email,
    EmailRecipient,
    EmailState,
    EmailVariant,
    RecipientState,
    SendLease,
)
from webapp.campaigns.services import audiences, sending
from webapp.campaigns.services.emails import LETTERS
from webapp.campaigns.services.tags import tags_of
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.numbering import MAX_BIGINT

KEY = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
MAILS = 200
MOST_SAID = 70
STUCK = (RecipientState.FAILED, RecipientState.UNKNOWN)
# One that is paused or cancelled sends nothing, also not to one more.
REPEATABLE = (EmailState.SENDING, EmailState.SENT, EmailState.AUTOMATED)
DID = {
    "opened": ("Opened it", EmailRecipient.opened_at),
    "clicked": ("Clicked in it", EmailRecipient.clicked_at),
    "bounced": ("Bounced", EmailRecipient.bounced_at),
    "complained": ("Complained", EmailRecipient.complained_at),
    "left": ("Left through it", EmailRecipient.left_at),
}


def mail_choices() -> list[tuple[str, str]]:
    """Return the newest mails that have recipients, and the one that was asked for."""
    has_any = or_(Email.populated_at.is_not(None), Email.state.in_(GONE_OUT))
    mails = select(Email.id, Email.name).where(has_any)
    found = db.session.execute(mails.order_by(Email.id.desc()).limit(MAILS)).all()
    choices = [(str(key), name) for key, name in found]
    asked = request.args.get("email", "")
    if asked.isascii() and asked.isdigit() and len(asked) < 19 and asked not in dict(choices):
        older = db.session.execute(mails.where(Email.id == int(asked))).all()
        choices += [(str(key), name) for key, name in older]
    return choices


def _in_state(*states: RecipientState) -> ColumnElement[bool]:
    """Literals, so that the partial indexes over these states can serve."""
    named: list[ColumnElement[str]] = [literal_column(f"'{state.value}'") for state in states]
    return EmailRecipient.state.in_(named)


def _narrow(value: str) -> ColumnElement[bool]:
    if value == "trouble":
        return _in_state(*STUCK)
    state = RecipientState(value)
    if state is RecipientState.CLAIMED:
        # There is no index over this state, and never many mails that have any in it.
        open_leases = select(SendLease.email_id).where(SendLease.ended_at.is_(None))
        return and_(_in_state(state), EmailRecipient.email_id.in_(open_leases))
    return _in_state(state)


def _may_repeat(row: EmailRecipient) -> bool:
    return row.state in STUCK and db.session.get_one(Email, row.email_id).state in REPEATABLE


def _state_of(row: EmailRecipient) -> RecipientState | EmailState:
    """Whoever a cancelled mail had not come to waits for nothing any more."""
    waits = row.state is RecipientState.PENDING
    over = waits and db.session.get_one(Email, row.email_id).state is EmailState.CANCELLED
    return EmailState.CANCELLED if over else row.state


def _words_of_trouble(row: EmailRecipient) -> str | None:
    """What a server says of a mail that it takes is the same in every row."""
    if row.state is RecipientState.SENT or not row.smtp_reply:
        return None
    return shorten(row.smtp_reply, MOST_SAID, placeholder=" …")


def _state_titles() -> list[tuple[str, str]]:
    titles = [(state.value, state.value.capitalize()) for state in RecipientState]
    return [("trouble", "Failed or unknown"), *titles]


class Recipients(TagPages):
    """One row per mail and address, whatever became of it."""

    noun = "recipient"
    empty = "Nobody yet. A mail gets its recipients when it is made ready."
    may_see = Permission.MEMBERS_VIEW
    intro = (
        "Unknown means that a worker was lost while handing the mail over: it may have arrived, so"
        " it is never sent again by itself."
    )
    search_hint = "Whole address, or the code of a mail"
    columns = (
        Column("address", "Address"),
        Column("email", "Mail", "link"),
        Column("state", "State", "pill", _state_of),
        Column("smtp_reply", "Server said", read=_words_of_trouble),
        Column("sent_at", "Sent", "moment"),
        Column("opened_at", "Opened", "moment"),
        Column("clicked_at", "Clicked", "moment"),
        Column("back", "Came back", "moment", lambda row: row.complained_at or row.bounced_at),
        Column("left_at", "Left", "moment"),
    )
    filters = (
        Filter("email", "Mail", mail_choices, lambda value: EmailRecipient.email_id == int(value)),
        Filter("state", "State", _state_titles(), _narrow),
        Filter(
            "did",
            "What they did",
            [(name, title) for name, (title, _) in DID.items()],
            lambda value: DID[value][1].is_not(None),
        ),
    )
    # The order of the primary key: a page of a million rows is read from its index.
    default_order = (EmailRecipient.email_id.desc(), EmailRecipient.id.desc())
    list_template = "admin/campaigns/many.html"
    details_template = "admin/campaigns/recipient.html"

    def get_pk_value(self, model: EmailRecipient) -> str:
        return f"{model.email_id}-{model.id}"

    def _key(self, text: str) -> tuple[int, int] | None:
        found = KEY.fullmatch(text)
        if found is None:
            return None
        email_id, key = int(found[1]), int(found[2])
        return (email_id, key) if max(email_id, key) <= MAX_BIGINT else None

    def search(self, text: str) -> ColumnElement[bool]:
        """Match a whole address by its index, or a code, also within a bounce address."""
        text = text.lower().strip("<>")
        name = text.partition("@")[0].rpartition("+")[2]
        code = read_code(name)
        if code is None:
            return EmailRecipient.address == text
        return and_(
            EmailRecipient.email_id == code.email_id, EmailRecipient.id == code.recipient_id
        )

    def gather(self, rows: Sequence[EmailRecipient]) -> Mapping[Any, Mapping[str, Any]]:
        """What a row shows beside itself is its mail's name, so the mail's key will do."""
        ids = {row.email_id for row in rows}
        shown = load_only(Email.name, Email.state, raiseload=True)
        found = db.session.scalars(select(Email).where(Email.id.in_(ids)).options(shown))
        return {
            # With the mail itself, as the session forgets what nobody holds.
            mail.id: {"email": Link(mail.name, _page_of(mail.id, mail.state)), "of": mail}
            for mail in found
        }

    def title_of(self, row: EmailRecipient) -> str:
        return row.address

    def links(self) -> list[Link]:
        search = request.args.get("search") or None
        email = request.args.get("email") or None
        return [Link("Why didn’t they get it?", self.get_url(".why", address=search, email=email))]

    def detail(self, row: EmailRecipient) -> dict[str, Any]:
        email = db.session.get_one(Email, row.email_id)
        variant = db.session.get(EmailVariant, (row.email_id, row.variant))
        return {
            "email": email,
            "email_url": _page_of(email.id, email.state),
            "subject": variant.subject if variant else "",
            "letter": LETTERS[row.variant - 1] if _has_variants(email.id) else None,
            "story": tell(row, email),
            "others": [each for each in list_sent(row.address) if each.email_id != row.email_id],
            "people": people_links(row.address),
            "suppressed": suppression_of(row.address),
            "consents": consents_of(row.address),
            "tags": tags_of(row.address),
            "orders": orders_of(row),
        }

    @action(
        "Send once more",
        permission=Permission.CAMPAIGNS_SEND,
        verb=None,
        tone="primary",
        confirm="Send it once more? Whoever is unknown may have got it already.",
        bulk=True,
        when=_may_repeat,
    )
    def send_once_more(self, row: EmailRecipient) -> str:
        sending.send_again(row.email_id, row.id, actor())
        return f"{row.address} is sent the mail once more."

    @page("/why/")
    def why(self) -> str:
        """Say for any address whether it gets a mail, and all that it ever got."""
        address = typed_address(request.args.get("address", ""))
        chosen = request.args.get("email", "")
        choices = mail_choices()
        found: dict[str, Any] = {}
        if address:
            found = {
                "sent": list_sent(address),
                "mails": mails_of(None, address),
                "suppressed": suppression_of(address),
                "consents": consents_of(address),
                "tags": tags_of(address),
                "people": people_links(address),
            }
            if chosen in dict(choices):
                found |= _explained(int(chosen), address)
        html: str = self.render(
            "admin/campaigns/why.html", address=address, chosen=chosen, choices=choices, **found
        )
        return html


def _explained(email_id: int, address: str) -> dict[str, str]:
    try:
        return {"answer": audiences.explain_address(email_id, address)}
    except DomainError as error:
        return {"problem": error.sentence}


def _has_variants(email_id: int) -> bool:
    counted = select(func.count()).where(EmailVariant.email_id == email_id)
    return (db.session.scalar(counted) or 0) > 1


def _page_of(email_id: int, state: EmailState) -> str:
    """What has not begun has no results yet."""
    room = "admin_results" if state in GONE_OUT else "admin_emails"
    return url_for(f"{room}.details_view", id=email_id)
