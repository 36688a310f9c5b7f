"""The operator's commands for people who work here, and for those who have an account."""

import os
from pathlib import Path

import click
from flask.cli import with_appcontext

from webapp.accounts.errors import NoSuchUser
from webapp.accounts.models import Role, SessionEnd, User
from webapp.accounts.queries import find_verified_user, list_staff
from webapp.accounts.services.closing import close_account, erase_soon
from webapp.accounts.services.exporting import ask_for_copy
from webapp.accounts.services.passwords import set_password
from webapp.accounts.services.sessions import end_all
from webapp.accounts.services.staff import create_staff
from webapp.accounts.services.terms import draft, find_published, publish
from webapp.core.audit import OPERATOR, Actor, record
from webapp.core.commands import Sentences
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.models import ActorKind

ROLES = click.Choice([role.value for role in Role])
PASSWORD_ENV = click.option(
    "--password-env", metavar="VAR", help="The environment variable that holds the password."
)


@click.group()
def staff() -> None:
    """People who may enter the back office."""


@staff.command("create")
@click.argument("email")
@click.option("--role", type=ROLES, required=True)
@PASSWORD_ENV
@click.option("--if-missing", is_flag=True, help="Do nothing when the login exists.")
@with_appcontext
def create(email: str, role: str, password_env: str | None, if_missing: bool) -> None:
    """Create a login for EMAIL with a role."""
    if if_missing and find_verified_user(email) is not None:
        click.echo(f"{email} is there already.")
        return
    try:
        user = create_staff(email, Role(role), _read_password(password_env), OPERATOR)
    except DomainError as error:
        raise click.ClickException(error.sentence) from error
    db.session.commit()
    click.echo(f"{user.email} may enter as {role}.")


@staff.command("password")
@click.argument("email")
@PASSWORD_ENV
@with_appcontext
def password(email: str, password_env: str | None) -> None:
    """Set a new password for EMAIL; this logs them out everywhere."""
    user = find_verified_user(email)
    try:
        if user is None:
            raise NoSuchUser(email)
        set_password(user, _read_password(password_env))
        end_all(user.id, SessionEnd.PASSWORD_CHANGED, OPERATOR)
        record(OPERATOR, "password.changed", f"user:{user.id}", user_id=user.id)
    except DomainError as error:
        raise click.ClickException(error.sentence) from error
    db.session.commit()
    click.echo(f"{user.email} has a new password.")


@staff.command("list")
@with_appcontext
def list_all() -> None:
    """List all staff with their role and last login."""
    for user in list_staff():
        role = user.role.value if user.role else ""
        state = "" if user.active else "  (shut out)"
        last = f"{user.last_login_at:%Y-%m-%d %H:%M}" if user.last_login_at else "never"
        click.echo(f"{role:8} {user.email:40} last login {last}{state}")


def _read_password(variable: str | None) -> str:
    if variable is None:
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    value = os.environ.get(variable)
    if not value:
        raise click.UsageError(f"The environment variable {variable} is empty.")
    return value


@click.group(cls=Sentences)
def member() -> None:
    """People with an account, and their data."""


@member.command("export")
@click.argument("email")
@with_appcontext
def export(email: str) -> None:
    """Make a copy of all data of EMAIL; the link is mailed to its owner, and opens for them."""
    ask_for_copy(_verified(email), OPERATOR)
    db.session.commit()
    click.echo("A worker makes the copy and mails the link to its owner.")


@member.command("erase")
@click.argument("email")
@click.option("--now", "at_once", is_flag=True, help="Without the days to think it over.")
@with_appcontext
def erase(email: str, at_once: bool) -> None:
    """Close the account of EMAIL and erase the person's data."""
    user = _verified(email)
    if at_once:
        erase_soon(user, OPERATOR)
        db.session.commit()
        click.echo("Workers say goodbye by mail and erase everything within minutes.")
        return
    erase_after = close_account(user, OPERATOR)
    db.session.commit()
    click.echo(f"The account is closed and will be erased on {erase_after:%Y-%m-%d %H:%M} UTC.")


def _verified(email: str) -> User:
    user = find_verified_user(email)
    if user is None:
        raise NoSuchUser(email)
    return user


@click.group(cls=Sentences)
def terms() -> None:
    """The terms of use that everybody with an account agrees to."""


@terms.command("publish")
@click.argument("version")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--title", default="Terms of use")
@click.option("--summary", default="", help="What is new, in a sentence.")
@click.option("--by", "email", help="In whose name; they count as having agreed.")
@click.option("--if-missing", is_flag=True, help="Do nothing when the version is published.")
@with_appcontext
def publish_terms(
    version: str, file: Path, title: str, summary: str, email: str | None, if_missing: bool
) -> None:
    """Put VERSION in force, with the HTML in FILE as its text. It never changes afterwards."""
    if if_missing and find_published(version) is not None:
        click.echo(f"Version {version} is published already.")
        return
    by = Actor(ActorKind.OPERATOR, _verified(email).id) if email else OPERATOR
    drafted = draft(version, title, file.read_text(encoding="utf-8"), summary, by)
    publish(drafted.id, by)
    db.session.commit()
    click.echo(f"Version {version} is in force; everybody is asked to agree to it.")
