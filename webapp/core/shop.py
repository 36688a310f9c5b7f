"""The fork's settings row, read once per request or job."""

from flask import g

from webapp.core.db import db
from webapp.core.errors import ConfigError
from webapp.core.models import Shop


def get_shop() -> Shop:
    """Return the fork's settings; the session's identity map answers every later call."""
    shop = db.session.get(Shop, 1)
    if shop is None:
        raise ConfigError("This fork has no shop yet; run `flask fork create` for it.")
    # The identity map holds it only as long as somebody else does.
    g.shop = shop
    return shop
