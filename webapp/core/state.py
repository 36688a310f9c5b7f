"""What belongs to the running app rather than to a request: its settings and its fork."""

from pathlib import Path
from typing import cast

from flask import Flask, current_app

from webapp.core.config import Config
from webapp.core.fork import Fork

EXTENSION = "startupwebapp"


def bind(app: Flask, config: Config, fork: Fork) -> None:
    app.extensions[EXTENSION] = (config, fork)


def current_config() -> Config:
    return cast(tuple[Config, Fork], current_app.extensions[EXTENSION])[0]


def current_fork() -> Fork:
    return cast(tuple[Config, Fork], current_app.extensions[EXTENSION])[1]


def spool_folder() -> Path:
    """Return where this fork keeps what must outlive a process on this machine's disk."""
    return current_config().spool_folder.resolve() / current_fork().name
