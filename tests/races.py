"""Two transactions that meet: an app that commits for real, and deeds begun at once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
from flask import Flask
from sqlalchemy import text

from tests.conftest import make_config
from tests.services import Addresses, Database
from webapp.core.db import db
from webapp.core.models import Shop
from wsgi import create_app


@pytest.fixture
def open_shop(
    addresses: Addresses, fresh_database: Database, clean_redis: str, tmp_path: Path
) -> Iterator[Flask]:
    """The app on a database of the test's own, within its context."""
    app = create_app(make_config(addresses, fresh_database, clean_redis, tmp_path))
    with app.app_context():
        db.session.add(Shop(name="Northwind Goods", tagline="Made to last"))
        db.session.commit()
        yield app
        db.session.remove()
        db.engine.dispose()


class Race:
    """Two things done at the same moment, each on its own connection."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.wrong: list[BaseException] = []

    def run(self, *deeds: Callable[[], object]) -> None:
        """Begin all ``deeds`` at once and wait for them; whatever one raises fails the test."""
        start = Barrier(len(deeds))
        threads = [self._thread(deed, start) for deed in deeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "it never ended"
        assert self.wrong == []

    def begin(self, deed: Callable[[], object]) -> Thread:
        """Begin one deed and go on; whoever calls joins the thread."""
        thread = self._thread(deed, Barrier(1))
        thread.start()
        return thread

    def _thread(self, deed: Callable[[], object], start: Barrier) -> Thread:
        def run() -> None:
            with self.app.app_context():
                try:
                    # Connected beforehand, or the first would be done before the second is in.
                    db.session.execute(text("SELECT 1"))
                    db.session.rollback()
                    start.wait(60)
                    deed()
                except BaseException as error:
                    self.wrong.append(error)

        return Thread(target=run)


@pytest.fixture
def race(open_shop: Flask) -> Race:
    return Race(open_shop)
