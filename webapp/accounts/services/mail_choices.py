"""What a member says about mails they can do without, for an address that is theirs."""

from collections.abc import Collection

from webapp.accounts.errors import AddressNotVerified
from webapp.accounts.models import User
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import consents_of, give_consent

SOURCE = "account"


def choose_mails(user: User, wanted: Collection[MailTopic], by: Actor) -> list[MailTopic]:
    """Have exactly the ``wanted`` topics sent; returns those that changed. Flushes.

    Raises AddressNotVerified: nobody speaks for an address they have not shown to be theirs.
    """
    if user.email_verified_at is None:
        raise AddressNotVerified
    standing = consents_of(user.email)
    changed = []
    for topic in MailTopic:
        before = standing.get(topic)
        if (before is not None and before.wanted) == (topic in wanted):
            continue
        give_consent(user.email, topic, topic in wanted, SOURCE)
        changed.append(topic)
    if changed:
        chosen = {topic.value: topic in wanted for topic in changed}
        record(by, "mails.chosen", f"user:{user.id}", user_id=user.id, **chosen)
        db.session.flush()
    return changed
