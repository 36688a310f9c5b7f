"""The back office: Flask-Admin behind the staff login, in the shop's own design."""

from flask import Flask

from admin.moments import init_moments
from admin.site import build


def install(app: Flask) -> None:
    """Add the back office at /admin."""
    init_moments(app)
    build(app)
