"""People who work here: their logins and what they may do.

Whoever changes a role is looked up again, with a lock: what a page believed when it was opened
doesn't count, and of two owners who unmake each other at once, one stays.
"""

import secrets

from sqlalchemy import select

from webapp.accounts.errors import EmailTaken
from webapp.accounts.models import Member, Role, SessionEnd, User
from webapp.accounts.permissions import Permission, allows
from webapp.accounts.queries import find_verified_user
from webapp.accounts.services.addressing import read_email
from webapp.accounts.services.passwords import set_password
from webapp.accounts.services.sessions import end_all
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.errors import DomainError, Forbidden
from webapp.core.models import ActorKind
from webapp.core.queue import Queue, enqueue
from webapp.core.state import current_config
from webapp.messaging.services import post

LADDER = (Role.VIEWER, Role.STAFF, Role.MANAGER, Role.ADMIN, Role.OWNER)
# Roles that only an owner makes and unmakes.
HIGH = (Role.ADMIN, Role.OWNER)

SEND_RESET = "jobs.accounts.send_reset"


class RoleRefused(Forbidden):
    code = "role_refused"


class LastOwner(DomainError):
    code = "last_owner"
    status = 409

    def __init__(self) -> None:
        super().__init__("A shop needs an owner who can log in. Make somebody else one first.")


class NotStaff(DomainError):
    code = "not_staff"
    status = 409

    def __init__(self, email: str) -> None:
        super().__init__(f"{email} has no role any more. Add them again to give them one.")


class AlreadyStaff(DomainError):
    code = "already_staff"
    status = 409

    def __init__(self, email: str) -> None:
        super().__init__(f"{email} works here already. Change their role instead.")


def create_staff(email: str, role: Role, password: str, by: Actor) -> User:
    """Add a login with ``role``. Raises InvalidEmail, EmailTaken or WeakPassword.

    The address counts as verified: whoever may add staff vouches for it.
    """
    address = read_email(email)
    if find_verified_user(address) is not None:
        raise EmailTaken(address)
    user = User(email=address, email_verified_at=clock.now(), role=role)
    set_password(user, password)
    db.session.add(user)
    db.session.flush()
    record(by, "staff.added", f"user:{user.id}", user_id=user.id, role=role.value)
    return user


def invite(email: str, role: Role, by: Actor) -> User:
    """Give a role to whoever has the address, by a new login where nobody has; mails them. Flushes.

    Raises InvalidEmail, RoleRefused or AlreadyStaff.
    """
    address = read_email(email)
    _check_commands(_rank_of(by), role)
    user = find_verified_user(address)
    is_new = user is None
    if user is None:
        user = User(email=address, email_verified_at=clock.now(), role=role)
        db.session.add(user)
        db.session.flush()
        send_reset(user)
    else:
        _lock(user)
        if user.role is not None:
            raise AlreadyStaff(address)
        _check_is_usable(user)
        user.role = role
        end_all(user.id, SessionEnd.ROLE_CHANGED, by)
    record(by, "staff.added", f"user:{user.id}", user_id=user.id, role=role.value)
    _tell(user, role, is_new)
    db.session.flush()
    return user


def change_role(user: User, role: Role, by: Actor) -> None:
    """Put a member of staff into another role; their sessions end. Flushes.

    Raises RoleRefused, NotStaff or LastOwner.
    """
    before = _lock_for_change(user, by)
    _check_commands(_rank_of(by), role)
    if before is role:
        return
    if before is Role.OWNER:
        _check_owner_remains(user)
    user.role = role
    end_all(user.id, SessionEnd.ROLE_CHANGED, by)
    about = {"before": before.value, "role": role.value}
    record(by, "staff.role_changed", f"user:{user.id}", user_id=user.id, **about)
    db.session.flush()


def dismiss(user: User, by: Actor) -> None:
    """Take the role away: what is left is a customer's account. Flushes.

    Raises RoleRefused, NotStaff or LastOwner.
    """
    before = _lock_for_change(user, by)
    if before is Role.OWNER:
        _check_owner_remains(user)
    user.role = None
    if db.session.scalar(select(Member.id).where(Member.user_id == user.id)) is None:
        db.session.add(Member(user_id=user.id))
    end_all(user.id, SessionEnd.ROLE_CHANGED, by)
    record(by, "staff.removed", f"user:{user.id}", user_id=user.id, before=before.value)
    db.session.flush()


def shut_out(user: User, by: Actor) -> None:
    """End somebody's sessions and let them in no more; flushes. Once more changes nothing.

    Raises RoleRefused for those who stand above, for oneself, and LastOwner.
    """
    _lock(user)
    check_may_touch(user, by)
    if not user.active:
        return
    if user.role is Role.OWNER:
        _check_owner_remains(user)
    user.active = False
    end_all(user.id, SessionEnd.SHUT_OUT, by)
    record(by, "user.shut_out", f"user:{user.id}", user_id=user.id)
    db.session.flush()


def let_in_again(user: User, by: Actor) -> None:
    """Undo ``shut_out``; flushes. Raises RoleRefused, or DomainError for an erased account."""
    _lock(user)
    check_may_touch(user, by)
    if user.erased_at is not None:
        raise DomainError("This account is erased. There is nobody to let in.")
    if not user.active:
        user.active = True
        record(by, "user.let_in", f"user:{user.id}", user_id=user.id)
        db.session.flush()


def check_may_touch(user: User, by: Actor) -> None:
    """Raise RoleRefused unless ``by`` may end the sessions of ``user`` or shut them out.

    Customers are anybody's who has the permission; staff only that of those above them, or of
    owners. Nobody shuts out themselves.
    """
    if by.id == user.id:
        raise RoleRefused("That is you. Use the security page of your own account.")
    if user.role is not None:
        _check_commands(_rank_of(by), user.role)


def send_reset(user: User) -> None:
    """Promise this very login a mail with a link to a new password; flushes."""
    name = f"user:{user.id}"
    enqueue(SEND_RESET, str(user.id), secrets.token_hex(8), queue=Queue.MAIL, subject=name)


def roles_to_give(role: Role | None) -> list[Role]:
    """Return the roles that somebody in ``role`` may give and take, the highest first."""
    if role is None or not allows(role, Permission.STAFF_EDIT):
        return []
    mine = LADDER if role is Role.OWNER else [each for each in LADDER if each not in HIGH]
    return list(reversed(mine))


def _rank_of(by: Actor) -> Role | None:
    """Return the role of whoever acts, as it is now; the command line may do all."""
    if by.kind is ActorKind.OPERATOR:
        return Role.OWNER
    return db.session.scalar(select(User.role).where(User.id == by.id, User.active))


def _check_commands(mine: Role | None, role: Role) -> None:
    if role in roles_to_give(mine):
        return
    if role in HIGH:
        raise RoleRefused("Only an owner makes and unmakes owners and admins.")
    raise RoleRefused("Your role may not change the roles of others.")


def _lock_for_change(user: User, by: Actor) -> Role:
    _lock(user)
    if user.role is None:
        raise NotStaff(user.email)
    if by.id == user.id:
        raise RoleRefused("Nobody changes their own role. Ask another owner.")
    _check_commands(_rank_of(by), user.role)
    return user.role


def _lock(user: User) -> None:
    """Lock and re-read the login; owners together with all other owners, always in one order."""
    rows = select(User).where((User.id == user.id) | (User.role == Role.OWNER)).order_by(User.id)
    fresh = rows.with_for_update().execution_options(populate_existing=True)
    db.session.scalars(fresh).all()


def _check_owner_remains(leaving: User) -> None:
    others = select(User.id).where(User.role == Role.OWNER, User.active, User.id != leaving.id)
    if db.session.scalar(others.limit(1)) is None:
        raise LastOwner


def _check_is_usable(user: User) -> None:
    if not user.active or user.closed_at is not None:
        raise DomainError(f"{user.email} is shut out or closed. Let them in again first.")


def _tell(user: User, role: Role, is_new: bool) -> None:
    base = current_config().base_url.rstrip("/")
    post(
        "staff_invitation",
        user.email,
        {
            "role": role.value,
            "room_url": f"{base}/admin/",
            "forgot_url": f"{base}/password/forgot",
            "is_new": is_new,
        },
        dedupe_key=f"staff_invitation:{user.id}:{secrets.token_hex(8)}",
        subject_ref=f"user:{user.id}",
    )
