"""Pages that are one person's alone: no cache on the way keeps them."""

from flask import make_response, render_template
from werkzeug.wrappers import Response


def show_privately(template: str, status: int = 200, **context: object) -> Response:
    """Return the rendered page with the headers that keep it from everybody else."""
    page = make_response(render_template(template, **context), status)
    page.headers["Cache-Control"] = "private, no-store"
    return page
