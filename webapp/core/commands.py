"""What the operator's commands have in common: errors are sentences, deeds are committed."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import OperationalError

from webapp.core.db import db
from webapp.core.errors import DomainError


class Sentences(click.Group):
    """A group whose commands exit with code 1 and the sentence of a DomainError.

    A database that can't be reached is told in its driver's words, which hold no password.
    """

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DomainError as error:
            raise click.ClickException(error.sentence) from error
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise click.ClickException(f"The database can't be used: {reason}") from error


def deed(command: Callable[..., object]) -> Callable[..., Any]:
    """Commit what a command changed, and then print what it returns: a sentence or a number."""

    @wraps(command)
    def do(*args: Any, **options: Any) -> None:
        told = command(*args, **options)
        db.session.commit()
        click.echo(told)

    return with_appcontext(do)
