"""An app before which nothing is rolled back: each request has its own context and commits."""

from dataclasses import dataclass

from flask import Flask
from flask.testing import FlaskClient

from tests.attacks.cast import Cast, gather
from tests.attacks.picture import TRACES, Picture, picture
from tests.factories.catalog import make_sku
from tests.factories.sales import make_shipping
from webapp.accounts.models import LoginMethod, User
from webapp.accounts.services.sessions import open_session
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import Shop


@dataclass(frozen=True, slots=True)
class Siege:
    """The app and everybody in it."""

    app: Flask
    cast: Cast

    def browser(self, who: str) -> FlaskClient:
        """Return a browser with a session opened now and something in its cart."""
        browser = self.app.test_client()
        if who == "guest":
            return browser
        with self.app.app_context():
            user = db.session.get_one(User, self.cast.people[who])
            user.active, user.closed_at, user.erase_after = True, None, None
            token = open_session(user, LoginMethod.PASSWORD, SYSTEM, second_factor=True)
            db.session.commit()
        with browser.session_transaction() as opened:
            opened["_user_id"] = token
            opened["_fresh"] = True
        browser.post("/cart/add", data={"sku_id": "1", "quantity": "1"})
        return browser

    def picture(self) -> Picture:
        with self.app.app_context():
            return picture(without=TRACES)


def lay(app: Flask) -> Siege:
    """Return the siege of an app on an empty database; mistakes are answered as in earnest."""
    app.config.update(WTF_CSRF_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    with app.app_context():
        db.session.add(Shop(name="Northwind Goods", support_email="help@northwind.example"))
        db.session.commit()
        make_sku("Oak Bowl", stock=None)
        make_shipping()
        return Siege(app, gather(app))
