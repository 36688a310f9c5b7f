"""What every answer carries and every request must pass: headers, CSRF, limits, ids."""

import random
import re
from datetime import timedelta

from flask import Flask, Request, Response, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf import CSRFProtect
from itsdangerous import URLSafeTimedSerializer
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp.core import logging as log
from webapp.core.bodies import init_bodies
from webapp.core.config import Config, Env
from webapp.core.fork import Fork
from webapp.core.lean import for_all
from webapp.core.limits import init_limiter, limit_requests, limiter

__all__ = ["csrf", "init_security", "limiter"]

csrf = CSRFProtect()

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # Browsers apply form-action to redirects too: the checkout form ends at Stripe, and the
        # one that links an account at its provider.
        "form-action 'self' {elsewhere}",
    ]
)
# Where forms of ours lead to: the payment page, the portal, and an invoice's page.
STRIPES_PAGES = (
    "https://checkout.stripe.com",
    "https://billing.stripe.com",
    "https://invoice.stripe.com",
)
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")


class ForkSession(SecureCookieSessionInterface):
    """Flask's signed cookie under a salt of the fork, so that no other fork accepts it."""

    def __init__(self, fork: Fork) -> None:
        self.salt = fork.salt("session")
        self._keys: object = None
        self._serializer: URLSafeTimedSerializer | None = None

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session in the visitor's cookie; without cookies none has to be looked for."""
        if "HTTP_COOKIE" not in request.environ and app.secret_key:
            return self.session_class()
        return super().open_session(app, request)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the serializer of the keys in force. Flask would make one for every request."""
        keys = app.secret_key, tuple(app.config["SECRET_KEY_FALLBACKS"] or ())
        if keys != self._keys:
            self._serializer = super().get_signing_serializer(app)
            self._keys = keys
        return self._serializer


def init_security(app: Flask, config: Config, fork: Fork) -> None:
    app.config.update(
        SECRET_KEY=config.secret_key,
        SECRET_KEY_FALLBACKS=[config.secret_key_previous] if config.secret_key_previous else [],
        SESSION_COOKIE_NAME=fork.cookie_name("session", secure=config.secure),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.secure,
        # How long somebody stays logged in is decided in Postgres. If every answer sent the cookie,
        # a slow one would bring back a token that was renewed meanwhile.
        PERMANENT_SESSION_LIFETIME=timedelta(days=180),
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=16 * 1024 * 1024,
        MAX_FORM_MEMORY_SIZE=1024 * 1024,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=config.secure,
        RATELIMIT_STORAGE_URI=config.redis_url,
        RATELIMIT_STORAGE_OPTIONS={"socket_connect_timeout": 1, "socket_timeout": 1},
        RATELIMIT_KEY_PREFIX=fork.redis_key("limit"),
        RATELIMIT_HEADERS_ENABLED=False,
        RATELIMIT_SWALLOW_ERRORS=True,
        RATELIMIT_ENABLED=config.app_env is not Env.TEST,
    )
    app.session_interface = ForkSession(fork)
    if config.trusted_hops:
        hops = config.trusted_hops
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign] # Flask's own way to wrap itself
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    app.before_request(_give_request_id)
    if config.app_env is not Env.TEST:
        limit_requests(app, config.request_limit, fork)
    csrf.init_app(app)
    init_bodies(app)
    init_limiter(app)
    headers = [(name, name.lower(), value) for name, value in _headers(config)]

    @app.after_request
    @for_all
    def add_headers(response: Response) -> Response:
        given = {name.lower() for name, _ in response.headers}
        # Where a page's own policy names sites that may frame it, X-Frame-Options, which can't
        # name any, would forbid it again.
        if _may_be_framed(response.headers.get("Content-Security-Policy", "")):
            given.add("x-frame-options")
        for name, lower, value in headers:
            if lower not in given:
                response.headers.add(name, value)
        response.headers["X-Request-Id"] = g.get("request_id", "")
        return response


@for_all
def _give_request_id() -> None:
    given = request.headers.get("X-Request-Id", "")
    # An id is no secret; asking the system for each would make the request wait for its turn.
    made = f"{random.getrandbits(64):016x}"
    g.request_id = given if REQUEST_ID.fullmatch(given) else made
    log.request_id.set(g.request_id)


def _may_be_framed(policy: str) -> bool:
    return "frame-ancestors" in policy and "frame-ancestors 'none'" not in policy


def _headers(config: Config) -> list[tuple[str, str]]:
    stripe = [config.stripe_api_base] if config.stripe_api_base else STRIPES_PAGES
    elsewhere = [*stripe, *config.providers]
    headers = [
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY.format(elsewhere=" ".join(elsewhere))),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
    if config.secure:
        headers.append(("Strict-Transport-Security", "max-age=31536000; includeSubDomains"))
    return headers
