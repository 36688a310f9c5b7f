"""What happens beside an author: links are looked at, a draft's former recipients forgotten."""

from webapp.campaigns.errors import NoSuchEmail
from webapp.campaigns.services.checking.remote import list_addresses, look_at, remember
from webapp.campaigns.services.emails import get_email
from webapp.campaigns.services.readying import AT_ONCE
from webapp.campaigns.services.readying import forget_recipients as forget_some
from webapp.core.db import db


def check_links(email_id: int) -> None:
    """Fetch the links and pictures of a mail; its checks tell what was seen. Repeating is safe."""
    try:
        wanted = list_addresses(get_email(email_id))
    except NoSuchEmail:
        # Its author threw it away meanwhile.
        return
    # Nothing was changed, and servers elsewhere may take their time.
    db.session.rollback()
    remember(look_at(wanted))


def forget_recipients(email_id: int) -> None:
    """Delete whom a mail was meant for before it went back to draft. Repeating is safe."""
    while forget_some(email_id, AT_ONCE):
        db.session.commit()
    db.session.commit()
