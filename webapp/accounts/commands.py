"""The operator's commands for people who work here."""

import os

import click
from flask.cli import with_appcontext

from webapp.accounts.errors import NoSuchUser
from webapp.accounts.models import Role
from webapp.accounts.queries import find_user_by_email, list_staff
from webapp.accounts.services import change_password, create_staff
from webapp.core.db import db
from webapp.core.errors import DomainError

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
    if if_missing and find_user_by_email(email) is not None:
        click.echo(f"{email} is there already.")
        return
    try:
        user = create_staff(email, Role(role), _read_password(password_env))
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
    user = find_user_by_email(email)
    try:
        if user is None:
            raise NoSuchUser(email)
        change_password(user, _read_password(password_env))
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
