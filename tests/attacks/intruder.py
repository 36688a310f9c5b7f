"""A browser in the wrong hands: each request of it stands alone, as between real processes."""

import secrets
from typing import Any

from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from tests.conftest import Visitor
from webapp.core.db import db

JSON = {"Accept": "application/json"}


class Intruder(Visitor):
    """A test holds one app context open; what a request left in the session goes with it."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        db.session.remove()
        try:
            return super().open(*args, **kwargs)
        finally:
            db.session.remove()

    def token(self) -> str:
        """Return a good CSRF token of this browser's session."""
        with self.session_transaction() as opened:
            raw = opened.setdefault("csrf_token", secrets.token_hex(20))
        return signed_csrf(self.application, raw)


def signed_csrf(app: Flask, raw: str) -> str:
    assert app.secret_key
    signer = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token")
    return str(signer.dumps(raw))


def is_csrf_refusal(answer: TestResponse) -> bool:
    """Whether the answer (asked for as JSON) says that the token was wrong."""
    body = answer.get_json(silent=True) or {}
    return answer.status_code == 400 and body.get("error", {}).get("code") == "csrf"
