"""The group that the commands for mails to many hang on."""

import click

from webapp.core.commands import Sentences


@click.group(cls=Sentences)
def campaign() -> None:
    """Mails to many: write, check, send and look at what came of them."""
