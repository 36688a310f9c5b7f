"""Pages opened by a link that is a key: no cache keeps them, and no other site is told of them."""

from flask import Response, make_response, render_template

from webapp.core.db import db
from webapp.core.errors import DomainError


def unshared(page: str, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return make_response(page, status, headers)


def refused(template: str, error: DomainError) -> Response:
    """Say why a link opens nothing, and what to do."""
    db.session.rollback()
    return unshared(render_template(template, error=error), error.status)
