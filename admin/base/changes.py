"""What a change leaves behind: its row in the audit, and a refusal as a sentence instead of 500."""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from flask_login import current_user
from sqlalchemy import event, inspect
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from webapp.accounts.views.guard import actor
from webapp.core import audit
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.models import AuditEntry

logger = logging.getLogger(__name__)

# Columns that follow from others: that they changed tells nothing.
BOOKKEEPING = {"updated_at"}


def signature() -> str:
    """Return who acts, as the histories of orders and stock name them."""
    email: str = current_user.email
    return email


def record(did: str, subject: str, *, user_id: uuid.UUID | None = None, **details: Any) -> None:
    """Note in the audit that whoever is logged in did it, and leave a line in the log."""
    audit.record(actor(), did, subject, user_id=user_id, **details)
    extra = {"did": did, "subject": subject, "user": str(current_user.id)}
    logger.info("back office change", extra=extra)


class Changes:
    """Collects the names of what is written within it: ``title``, ``sku.code``, ``sku_price``."""

    def __init__(self, of: object) -> None:
        self._of = of
        self._names: dict[str, None] = {}

    @property
    def fields(self) -> list[str]:
        return sorted(self._names)

    def __enter__(self) -> "Changes":
        self._session = db.session()
        event.listen(self._session, "before_flush", self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        event.remove(self._session, "before_flush", self._note)

    def _note(self, session: Session, *_rest: object) -> None:
        for row in session.dirty:
            state = inspect(row)
            for column in state.mapper.column_attrs:
                if column.key in BOOKKEEPING or not state.attrs[column.key].history.has_changes():
                    continue
                table = "" if row is self._of else f"{row.__tablename__}."
                self._names[table + column.key] = None
        # A history, like that of prices, is written by adding to it.
        for row in (*session.new, *session.deleted):
            if row is not self._of and not isinstance(row, AuditEntry):
                self._names[row.__tablename__] = None


class Refusing:
    """Within it a DomainError or a broken constraint becomes a sentence, not an error page."""

    def __init__(self, clashes: Mapping[str, str]) -> None:
        self.clashes = clashes
        self.sentence = ""

    def __enter__(self) -> "Refusing":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, DomainError):
            self.sentence = error.sentence
        elif isinstance(error, IntegrityError):
            self.sentence = self.clashes.get(
                _constraint(error), "That clashes with what is there already; nothing was changed."
            )
            logger.warning("back office clash", extra={"constraint": _constraint(error)})
        else:
            return False
        db.session.rollback()
        return True


def _constraint(error: DBAPIError) -> str:
    diagnosis = getattr(error.orig, "diag", None)
    return str(getattr(diagnosis, "constraint_name", "") or "")
