"""The door of every process: ``create_app()`` gives the web application with its back office."""

from flask import Flask

import admin
import jobs
from webapp import factory
from webapp.core.config import Config, load_config


def create_app(config: Config | None = None) -> Flask:
    """Return the complete app; without a config it is read from the environment."""
    app = factory.create_app(config or load_config())
    admin.install(app)
    jobs.install(app)
    return app
