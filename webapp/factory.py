"""The web application: ``create_app`` puts the capabilities together for one fork."""

from flask import Flask
from flask_login import LoginManager
from flask_migrate import Migrate

from webapp import cli, filters
from webapp.accounts import views as accounts
from webapp.accounts.views.guard import init_guard
from webapp.billing import views as billing
from webapp.campaigns import views as campaigns
from webapp.core import clock, health, pool
from webapp.core.access import EVERYONE, declare
from webapp.core.config import Config
from webapp.core.db import db
from webapp.core.fork import Fork
from webapp.core.forks import MIGRATIONS
from webapp.core.lean import LeanFlask
from webapp.core.logging import configure_logging
from webapp.core.numbering import RowNumber
from webapp.core.redis import init_redis
from webapp.core.security import init_security
from webapp.core.state import bind
from webapp.errors import init_errors
from webapp.messaging import webhooks as messaging
from webapp.orders import views as orders
from webapp.payments import webhooks as payments
from webapp.storefront import views as storefront

BLUEPRINTS = [
    health.blueprint,
    storefront.blueprint,
    orders.blueprint,
    billing.blueprint,
    payments.blueprint,
    messaging.blueprint,
    accounts.blueprint,
    campaigns.blueprint,
]


def create_app(config: Config) -> Flask:
    """Return the app of the fork that ``config.database_name`` names, without the back office."""
    fork = Fork(config.database_name, config.upload_folder)
    app = LeanFlask(__name__, template_folder="../templates")
    app.url_map.converters["int"] = RowNumber
    configure_logging(fork.name, config.log_level)
    if config.clock_offset_file:
        clock.follow(config.clock_offset_file)
    bind(app, config, fork)
    _init_database(app, config, fork)
    init_redis(app, config.redis_url)
    init_security(app, config, fork)
    # No template names current_user: putting it there would open the session for every page.
    init_guard(app, LoginManager(app, add_context_processor=False))
    filters.init_filters(app)
    init_errors(app)
    declare(app, "static", EVERYONE)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    cli.init_cli(app, create_app)
    return app


def _init_database(app: Flask, config: Config, fork: Fork) -> None:
    app.config.update(
        SQLALCHEMY_DATABASE_URI=config.fork_database_url,
        SQLALCHEMY_ENGINE_OPTIONS={
            "pool_size": config.pool_size,
            "max_overflow": config.pool_size,
            "pool_events": pool.EVENTS,
            # Errors end up in logs and in the back office; what was bound may be personal.
            "hide_parameters": True,
            "connect_args": {
                "application_name": f"startupwebapp:{fork.name}",
                "connect_timeout": 5,
                "options": "-c statement_timeout=30s -c lock_timeout=10s"
                " -c idle_in_transaction_session_timeout=60s -c timezone=UTC",
            },
        },
    )
    db.init_app(app)
    Migrate(app, db, directory=str(MIGRATIONS), compare_type=True, render_as_batch=False)
