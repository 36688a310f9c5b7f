"""Command groups that end a DomainError with its sentence instead of a traceback."""

import click

from webapp.core.errors import DomainError


class Sentences(click.Group):
    """A group whose commands exit with code 1 and the sentence of a DomainError."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DomainError as error:
            raise click.ClickException(error.sentence) from error
