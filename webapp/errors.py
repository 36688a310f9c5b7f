"""Every error answers with a page, or with JSON where JSON was asked for, and one sentence."""

import logging

from flask import Flask, Response, g, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from jinja2 import TemplateNotFound
from werkzeug.exceptions import HTTPException, InternalServerError, TooManyRequests

from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.limits import retry_after

logger = logging.getLogger(__name__)

SENTENCES = {
    400: "The request was not complete. Go back, reload the page and try again.",
    403: "You may not do this. Ask the owner of the shop for the right to.",
    404: "There is nothing at this address. It may have moved or been sold out.",
    405: "This address does not take that kind of request.",
    413: "That is more than we can take at once.",
    429: "That was very often in a short time. Wait a little and try again.",
    500: "Something broke on our side. It has been noted; please try again in a moment.",
    503: "We can't answer just now. Please try again in a moment.",
}


def init_errors(app: Flask) -> None:
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)


def _domain_error(error: DomainError) -> Response:
    db.session.rollback()
    if error.status >= 500:
        logger.error("domain error", exc_info=error)
    return _answer(error.status, error.code, error.sentence)


def _csrf_error(error: CSRFError) -> Response:
    sentence = "This page was open for too long, or cookies are off. Reload it and try again."
    return _answer(400, "csrf", f"{sentence} ({error.description})")


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if error.response is not None or status < 400:
        return make_response(error.get_response())
    if isinstance(error, InternalServerError):
        db.session.rollback()
    answer = _answer(status, f"http_{status}", SENTENCES.get(status, error.description or ""))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers.setdefault(name, value)
    if status == TooManyRequests.code:
        answer.headers.setdefault("Retry-After", str(retry_after()))
    return answer


def _answer(status: int, code: str, sentence: str) -> Response:
    wants = request.accept_mimetypes
    if wants.accept_json and not wants.accept_html:
        return make_response({"error": {"code": code, "message": sentence}}, status)
    try:
        return make_response(_page(status, sentence), status)
    except Exception:
        # The page itself needs the database; without it the sentence alone must do.
        logger.exception("error page failed")
        return make_response(sentence, status, {"Content-Type": "text/plain; charset=utf-8"})


def _page(status: int, sentence: str) -> str:
    context = {"message": sentence, "status": status, "request_id": g.get("request_id")}
    try:
        return render_template(f"errors/{status}.html", **context)
    except TemplateNotFound:
        family = 500 if status >= 500 else 400
        return render_template(f"errors/{family}.html", **context)
