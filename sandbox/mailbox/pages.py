"""The mailbox's web side: a readable list, one page per mail, and the JSON that tests read."""

import os
import secrets
from pathlib import Path
from typing import Any, cast

from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from flask.json.provider import DefaultJSONProvider
from werkzeug.wrappers import Response as AnyResponse

from sandbox.mailbox.refusals import REPLY, Refusals, read_rule
from sandbox.mailbox.returning import (
    HARD,
    SOFT,
    NotReturned,
    Shop,
    write_bounce,
    write_complaint,
)
from sandbox.mailbox.store import Message, Store

LIST_LIMIT = 200
LOCAL_NAMES = {"127.0.0.1", "localhost", "[::1]"}
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# A mail's HTML runs no script and can't reach this page; its pictures and links work as in a
# mail program, so that opens and clicks can be tried.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: http: https:; "
    "frame-ancestors 'self'; form-action 'none'; base-uri 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
VIEWS = ("html", "text", "headers", "source")
NO_SHOP = "No shop takes bounces here: start the mailbox with --shop."


def create_pages(store: Store, refusals: Refusals, shop: Shop | None = None) -> Flask:
    app = Flask("sandbox.mailbox", root_path=str(Path(__file__).parent))
    app.config["SECRET_KEY"] = secrets.token_hex()
    cast(DefaultJSONProvider, app.json).sort_keys = False
    _guard(app)
    _add_pages(app, store)
    _add_message_pages(app, store)
    _add_ways_back(app, store, shop)
    _add_api(app, store, refusals)
    return app


def _guard(app: Flask) -> None:
    """A page on the internet must not reach in: no rebound names, no posts from elsewhere."""

    @app.before_request
    def refuse_strangers() -> None:
        if (request.host.rsplit(":", 1)[0] if ":" in request.host else request.host) not in (
            LOCAL_NAMES
        ):
            abort(403)
        if request.method != "GET" and request.headers.get("Sec-Fetch-Site") == "cross-site":
            abort(403)

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response


def _message_or_404(store: Store, message_id: int) -> Message:
    message = store.find_message(message_id)
    if message is None:
        abort(404)
    return message


def _add_pages(app: Flask, store: Store) -> None:
    @app.get("/")
    def inbox() -> str:
        words = request.args.get("q", "").strip()
        messages = store.search(words, LIST_LIMIT)
        messages.reverse()
        return render_template(
            "inbox.html", messages=messages, words=words, total=store.count(), limit=LIST_LIMIT
        )

    @app.post("/clear")
    def clear() -> AnyResponse:
        store.clear()
        return redirect(url_for("inbox"), 303)

    @app.get("/favicon.ico")
    def favicon() -> Response:
        return send_from_directory(f"{app.root_path}/static", "icon.svg")

    @app.errorhandler(404)
    def missing(_error: Exception) -> tuple[str | Response, int]:
        if request.path.startswith("/api/"):
            return jsonify(error="There is no such message."), 404
        return render_template("missing.html"), 404


def _add_message_pages(app: Flask, store: Store) -> None:
    @app.get("/messages/<int:message_id>")
    def show(message_id: int) -> str:
        message = _message_or_404(store, message_id)
        view = request.args.get("view", "html" if message.html else "text")
        source = (store.find_source(message_id) or b"").decode(errors="replace")
        return render_template(
            "message.html",
            message=message,
            view=view if view in VIEWS else "text",
            views=VIEWS,
            source=source,
            parts=store.list_parts(message_id),
            said=request.args.get("said", "")[:200],
        )

    @app.get("/messages/<int:message_id>/html")
    def show_html(message_id: int) -> Response:
        html = _message_or_404(store, message_id).html
        for part in store.list_parts(message_id):
            if part.content_id:
                address = url_for("show_part", message_id=message_id, number=part.number)
                html = html.replace(f"cid:{part.content_id}", address)
        response = Response('<base target="_blank">' + html, mimetype="text/html")
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        return response

    @app.get("/messages/<int:message_id>/parts/<int:number>")
    def show_part(message_id: int, number: int) -> Response:
        parts = store.list_parts(message_id)
        if number >= len(parts):
            abort(404)
        part = parts[number]
        picture = part.content_type.startswith("image/") and "svg" not in part.content_type
        response = Response(
            part.content, mimetype=part.content_type if picture else "application/octet-stream"
        )
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if not picture:
            response.headers.set("Content-Disposition", "attachment", filename=part.name)
        return response


def _add_ways_back(app: Flask, store: Store, shop: Shop | None) -> None:
    app.jinja_env.globals["can_return"] = shop is not None

    def send_back(message_id: int, way: str, reply: str) -> str:
        envelope, source = store.find_envelope(message_id), store.find_source(message_id)
        if envelope is None or source is None:
            abort(404)
        if shop is None:
            raise NotReturned(NO_SHOP)
        spam = way == "spam"
        report = (
            write_complaint(envelope, source) if spam else write_bounce(envelope, source, reply)
        )
        return shop.receive(report, dict(os.environ))

    @app.post("/messages/<int:message_id>/back/<any(gone, full, spam):way>")
    def back(message_id: int, way: str) -> AnyResponse:
        try:
            said = send_back(message_id, way, SOFT if way == "full" else HARD)
        except NotReturned as error:
            said = str(error)
        return redirect(url_for("show", message_id=message_id, said=said), 303)

    @app.post("/api/messages/<int:message_id>/<any(bounce, complaint):way>")
    def back_by_api(message_id: int, way: str) -> tuple[dict[str, str], int]:
        wish = request.get_json(silent=True)
        reply = wish.get("reply") if isinstance(wish, dict) else None
        if reply is not None and (not isinstance(reply, str) or not REPLY.match(reply)):
            return {"error": "`reply` is an SMTP reply such as `550 5.1.1 No such user`."}, 400
        try:
            said = send_back(message_id, "spam" if way == "complaint" else "gone", reply or HARD)
        except NotReturned as error:
            return {"error": str(error)}, 503
        return {"shop": said}, 200


def _add_api(app: Flask, store: Store, refusals: Refusals) -> None:
    @app.get("/api/messages")
    def list_messages() -> Response:
        messages = store.list_messages(
            to=request.args.get("to"),
            after=request.args.get("after", 0, type=int),
            limit=request.args.get("limit", type=int),
        )
        return jsonify([message.as_json() for message in messages])

    @app.get("/api/messages/<int:message_id>")
    def get_message(message_id: int) -> Response:
        return jsonify(_message_or_404(store, message_id).as_json())

    @app.delete("/api/messages")
    def delete_messages() -> dict[str, int]:
        return {"deleted": store.clear()}

    @app.get("/api/control")
    def list_rules() -> dict[str, Any]:
        return {"rules": [rule.as_json() for rule in refusals.list_rules()]}

    @app.post("/api/control")
    def add_rule() -> tuple[dict[str, Any], int]:
        try:
            rule = read_rule(request.get_json(silent=True))
        except ValueError as error:
            return {"error": str(error)}, 400
        refusals.add(rule)
        return {"rule": rule.as_json()}, 201

    @app.delete("/api/control")
    def clear_rules() -> dict[str, Any]:
        refusals.clear()
        return {"rules": []}
