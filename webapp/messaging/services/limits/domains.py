"""Limits of single domains of recipients: how much a mail server there wants at once."""

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.privacy import among
from webapp.messaging.errors import InvalidAddress, InvalidDomainLimit
from webapp.messaging.models import MailDomainLimit
from webapp.messaging.services.addresses import domain_of
from webapp.messaging.services.composing import checked_address
from webapp.messaging.services.senders import MAX_RATE


def set_domain_limit(domain: str, per_second: int | None, by: Actor) -> MailDomainLimit | None:
    """Send a domain so many mails a second at the most; None lifts its limit. Flushes.

    Raises InvalidDomainLimit.
    """
    name = _checked(domain)
    if per_second is None:
        _lift(name, by)
        return None
    if not 0 < per_second <= MAX_RATE:
        raise InvalidDomainLimit("A limit is a whole number of mails a second above 0.")
    statement = insert(MailDomainLimit).values(domain=name, per_second=per_second)
    statement = statement.on_conflict_do_update(
        index_elements=["domain"], set_={"per_second": per_second}
    )
    limit = db.session.scalars(
        statement.returning(MailDomainLimit), execution_options={"populate_existing": True}
    ).one()
    record(by, "domain_limit.set", f"domain_limit:{limit.id}", per_second=per_second)
    db.session.flush()
    return limit


def _lift(name: str, by: Actor) -> None:
    gone = delete(MailDomainLimit).where(MailDomainLimit.domain == name)
    limit_id = db.session.scalar(gone.returning(MailDomainLimit.id))
    if limit_id is not None:
        record(by, "domain_limit.lifted", f"domain_limit:{limit_id}")
        db.session.flush()


def _checked(domain: str) -> str:
    try:
        return domain_of(checked_address(f"x@{domain.strip().removeprefix('@')}", "domain"))
    except InvalidAddress:
        raise InvalidDomainLimit("A domain looks like example.com.") from None


def limits_of(domains: Collection[str]) -> dict[str, int]:
    """Return the mails a second of those domains that have a limit of their own."""
    columns = MailDomainLimit.domain, MailDomainLimit.per_second
    asked = select(*columns).where(among(MailDomainLimit.domain, list(domains)))
    return dict(db.session.execute(asked).all())
