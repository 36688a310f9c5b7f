"""The ground attacks are fought on: the app with everybody in it, and apps set up otherwise."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.attacks.cast import Cast, gather
from tests.attacks.intruder import Intruder
from tests.attacks.siege import Siege, lay
from tests.conftest import make_config
from tests.other_apps import MakeApp
from tests.services import Addresses, cloned
from webapp.core.db import db
from wsgi import create_app


@pytest.fixture
def cast(app: Flask) -> Cast:
    """Everybody, in the app of the tests; tokens against forgery are asked for."""
    app.config["WTF_CSRF_ENABLED"] = True
    return gather(app)


@pytest.fixture
def make_app(make_app: MakeApp) -> MakeApp:
    """Make apps with other settings; who comes to them is up to no good."""

    def make(**changes: object) -> Flask:
        other = make_app(**changes)
        other.test_client_class = Intruder
        return other

    return make


@pytest.fixture(scope="module")
def siege(
    addresses: Addresses,
    worker: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Siege]:
    """The app on a database of its own, for thousands of requests that really commit."""
    with cloned(addresses, f"{addresses.database(worker)}_siege") as database:
        # Stripe isn't there, and says so at once.
        changes = {"stripe_api_base": "http://127.0.0.1:1", "stripe_timeout_seconds": 1}
        uploads = tmp_path_factory.mktemp("siege")
        app = create_app(make_config(addresses, database, redis_url, uploads, **changes))
        yield lay(app)
        with app.app_context():
            db.engine.dispose()
