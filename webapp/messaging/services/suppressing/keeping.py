"""The suppression list itself: one row an address, which the strictest scope wins."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.dialects.postgresql import Insert, insert

from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.privacy import among
from webapp.messaging.errors import NoSuchSuppression
from webapp.messaging.models import MailSuppression, SuppressionReason, SuppressionScope
from webapp.messaging.services.addresses import folded
from webapp.messaging.services.composing import checked_address

MAX_DETAIL = 1000


def suppress(
    email: str,
    scope: SuppressionScope,
    reason: SuppressionReason,
    source: str,
    detail: str = "",
    *,
    by: Actor | None = None,
) -> MailSuppression:
    """Write to this address no more; flushes. Returns the row in force.

    ``all`` wins over ``marketing``; of equal scopes the first one's reason stays. ``source`` says
    where it is known from ("bounce mail", "ses", "staff"), ``by`` names the person whose decision
    it was, for the audit. Raises InvalidAddress.
    """
    address = checked_address(email, "address").lower()
    values = {
        "email": address,
        "scope": scope,
        "reason": reason,
        "source": source,
        "detail": detail[:MAX_DETAIL].replace("\x00", ""),
        "at": clock.now(),
    }
    fresh = {"populate_existing": True}
    row = db.session.scalar(stricter([values]).returning(MailSuppression), execution_options=fresh)
    if row is not None and by is not None:
        _note(by, "suppression.added", row)
    if row is None:
        # The insert has locked the row that was there, so it is still there.
        standing = select(MailSuppression).where(MailSuppression.email == address)
        row = db.session.scalars(standing, execution_options=fresh).one()
    return row


def stricter(rows: Sequence[Mapping[str, Any]]) -> Insert:
    """Return the upsert that adds rows, and changes one that is there only to a wider scope."""
    statement = insert(MailSuppression).values(rows)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["email"],
        set_={name: new[name] for name in ("scope", "reason", "source", "detail", "at")},
        where=_widens(new["scope"]),
    )


def _widens(scope: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(MailSuppression.scope == SuppressionScope.MARKETING, scope == SuppressionScope.ALL)


def unsuppress(email: str, by: Actor) -> None:
    """Let mails through to the address again; flushes. Raises NoSuchSuppression."""
    gone = db.session.execute(
        delete(MailSuppression)
        .where(MailSuppression.email == folded(email))
        .returning(MailSuppression.id, MailSuppression.scope, MailSuppression.reason)
    ).one_or_none()
    if gone is None:
        raise NoSuchSuppression
    _note(by, "suppression.lifted", gone)


def forgive(email: str) -> None:
    """Let marketing through again to somebody who complained and now asks for it; flushes.

    Only for a wish from the mailbox itself. A mailbox that bounces stays suppressed.
    """
    db.session.execute(
        delete(MailSuppression).where(
            MailSuppression.email == folded(email),
            MailSuppression.scope == SuppressionScope.MARKETING,
            MailSuppression.reason == SuppressionReason.COMPLAINT,
        )
    )


def _note(by: Actor, action: str, row: Any) -> None:
    """Tell the audit; whose address it is can be looked up by the number while it is listed."""
    record(by, action, f"suppression:{row.id}", scope=row.scope.value, reason=row.reason.value)
    db.session.flush()


def suppressed(addresses: Collection[str], *, marketing: bool) -> set[str]:
    """Return those of the addresses that must not be written to, folded as ``folded`` does.

    ``marketing`` asks for a mail that people may do without: for these both scopes count.
    """
    asked = {folded(address) for address in addresses}
    if not asked:
        return set()
    statement = select(MailSuppression.email).where(among(MailSuppression.email, sorted(asked)))
    if not marketing:
        statement = statement.where(MailSuppression.scope == SuppressionScope.ALL)
    return set(db.session.scalars(statement))


def is_suppressed(address: str, *, marketing: bool) -> bool:
    """Say whether the address must not be written to."""
    return bool(suppressed([address], marketing=marketing))
