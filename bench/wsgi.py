"""What a bench serves: the shop, and beside it in the same workers a bare Flask view to beat."""

import os
import time
from typing import TYPE_CHECKING

from flask import Flask, redirect
from werkzeug import Response

from wsgi import create_app

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/bench/"


def create() -> "WSGIApplication":
    """Return one WSGI application: ``/bench/hello`` is Flask and nothing else."""
    shop, bare = create_app(), create_bare()

    def dispatch(environ: "WSGIEnvironment", start: "StartResponse") -> "Iterable[bytes]":
        chosen = bare if environ["PATH_INFO"].startswith(PREFIX) else shop
        return chosen(environ, start)

    return dispatch


def create_bare() -> Flask:
    """Return a Flask application without extensions, hooks or templates."""
    app = Flask("bench.bare", static_folder=None)

    @app.get(f"{PREFIX}hello")
    def hello() -> str:
        return "Hello, world!"

    @app.get(f"{PREFIX}redirect")
    def lead_on() -> Response:
        return redirect("https://elsewhere.example/spring?utm_campaign=bench")

    @app.get(f"{PREFIX}wait")
    def wait() -> str:
        time.sleep(1)
        return "That was a neighbour who takes a second to answer."

    @app.get(f"{PREFIX}worker")
    def worker() -> str:
        return str(os.getpid())

    return app
