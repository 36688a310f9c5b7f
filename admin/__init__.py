"""The back office: Flask-Admin behind the staff login, in the shop's own design."""

from flask import Flask

from admin.site import build


def install(app: Flask) -> None:
    """Add the back office at /admin."""
    build(app)
