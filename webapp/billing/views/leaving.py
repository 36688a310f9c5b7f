"""Who closes their account is not charged again."""

from typing import Any

from webapp.accounts.models import User
from webapp.accounts.signals import account_closed
from webapp.billing.services.privacy import leave_with_account
from webapp.core.audit import Actor


@account_closed.connect
def end_with_account(_sender: object, user: User, by: Actor, **_about: Any) -> None:
    leave_with_account(user.id, by)
