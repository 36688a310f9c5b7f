"""Liveness and readiness for whoever keeps the process running."""

from flask import Blueprint
from sqlalchemy import text

from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.redis import redis_client
from webapp.core.security import limiter

blueprint = Blueprint("health", __name__)
limiter.exempt(blueprint)


@blueprint.get("/health")
@open_to(EVERYONE)
def health() -> tuple[dict[str, str], int]:
    """The process answers; nothing else is asked."""
    return {"status": "ok"}, 200


@blueprint.get("/ready")
@open_to(EVERYONE)
def ready() -> tuple[dict[str, object], int]:
    """Postgres decides: without it no request is any use. Redis away is degraded, not down."""
    postgres, redis = _postgres_answers(), _redis_answers()
    status = "ok" if postgres and redis else "degraded" if postgres else "unavailable"
    body: dict[str, object] = {"status": status, "postgres": postgres, "redis": redis}
    return body, 200 if postgres else 503


def _postgres_answers() -> bool:
    try:
        db.session.execute(text("SELECT 1"))
    except Exception:
        return False
    return True


def _redis_answers() -> bool:
    try:
        return bool(redis_client().ping())
    except Exception:
        return False
