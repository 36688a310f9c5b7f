"""What happens outside a request: thin functions that RQ workers and the clock call by path."""

import click
from flask import Flask
from flask.cli import with_appcontext

from webapp.core.queue import Queue, work


def install(app: Flask) -> None:
    """Add the commands of the two processes that run jobs."""
    app.cli.add_command(worker)
    app.cli.add_command(keep_time)


@click.command()
@click.option("--burst", is_flag=True, help="Stop when the queues are empty.")
@click.option("--queue", "queues", multiple=True, type=click.Choice([q.value for q in Queue]))
@with_appcontext
def worker(burst: bool, queues: tuple[str, ...]) -> None:
    """Run this fork's jobs."""
    work([Queue(q) for q in queues] or list(Queue), burst=burst)


@click.command("clock")
@with_appcontext
def keep_time() -> None:
    """Ring for due and forgotten jobs, and start the periodic ones."""
    from jobs.clock import run

    run()
