"""Command groups that end a DomainError with its sentence instead of a traceback."""

import click
from sqlalchemy.exc import OperationalError

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
