"""The pages on connections of their own, as in production: no test's transaction around them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from tests.conftest import make_config
from tests.services import Addresses, Database
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.storefront.reading import read_without_transaction
from wsgi import create_app


@pytest.fixture
def open_shop(
    addresses: Addresses, fresh_database: Database, clean_redis: str, tmp_path: Path
) -> Iterator[Flask]:
    """An app with request limits and a database that keeps what is committed."""
    app = create_app(
        make_config(
            addresses, fresh_database, clean_redis, tmp_path, app_env=Env.DEVELOPMENT, pool_size=1
        )
    )
    app.config["WTF_CSRF_ENABLED"] = False
    with app.app_context():
        db.session.add(Shop(name="Northwind Goods", tagline="Made to last"))
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


def test_a_page_opens_no_transaction_and_the_next_user_of_its_connection_has_one(
    open_shop: Flask,
) -> None:
    with open_shop.app_context():
        read_without_transaction()
        db.session.execute(text("SELECT 1"))
        raw = db.session.connection().connection.driver_connection
        assert raw is not None
        assert raw.info.transaction_status.name == "IDLE"
    for path in ("/", "/products", "/products/none", "/brand.css"):
        open_shop.test_client().get(path)
    with open_shop.app_context():
        db.session.execute(text("UPDATE shop SET name = 'Changed'"))
        assert db.session.connection().connection.driver_connection is raw
        db.session.rollback()
        assert db.session.get_one(Shop, 1).name == "Northwind Goods"


def test_a_page_keeps_its_prepared_statement_and_its_plan(open_shop: Flask) -> None:
    visitor = open_shop.test_client()
    for _ in range(20):
        assert visitor.get("/products").status_code == 200
    with open_shop.app_context():
        read_without_transaction()
        plans = db.session.execute(
            text(
                "SELECT generic_plans FROM pg_prepared_statements"
                " WHERE statement LIKE '%FROM product%'"
            )
        ).scalars()
        assert max(plans, default=0) >= 5


def test_codes_cannot_be_guessed_all_day(open_shop: Flask) -> None:
    visitor = open_shop.test_client()
    answers = [visitor.post("/cart/discount", data={"code": f"TRY{n}"}) for n in range(16)]
    assert {answer.status_code for answer in answers[:15]} == {303}
    assert answers[15].status_code == 429
    assert "Wait a little" in answers[15].text
    assert visitor.get("/products").status_code == 200


def test_pictures_and_colours_do_not_count_as_requests(open_shop: Flask) -> None:
    visitor = open_shop.test_client()
    for _ in range(1010):
        visitor.get("/favicon.ico")
    assert visitor.get("/brand.css").status_code == 200
    assert visitor.get("/").status_code == 200
