"""Doors that a plan opens: for views, for templates, and for limits that count.

What a member may use is one row, written in the transaction of whatever changed it; a request
reads it once, when something first asks.
"""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import (
    Flask,
    current_app,
    flash,
    g,
    has_request_context,
    redirect,
    request,
    session,
    url_for,
)
from flask_login import current_user
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response

from webapp.billing.errors import PlanNeeded
from webapp.billing.queries.entitlements import Access, find_access, find_access_of_session

View = TypeVar("View", bound=Callable[..., Any])

NEEDS_PLAN = "This is for subscribers. Choose the plan that suits you, and it opens at once."
NEEDS_MORE = "Your plan doesn’t include this. Here are those that do."


def init_gating(app: Flask) -> None:
    """Let every template ask ``entitlement``, ``entitled('key')`` and ``within('key', used)``."""
    app.jinja_env.globals["entitlement"] = LocalProxy(current_entitlement)
    app.jinja_env.globals["entitled"] = entitled
    app.jinja_env.globals["within"] = within


def current_entitlement() -> Access | None:
    """Return what the visitor may use by their plan; read once a request, and for nobody else.

    A visitor without a session's cookie costs nothing, one who isn't logged in no query.
    """
    if not has_request_context():
        return None
    if "entitlement" not in g:
        g.entitlement = _find()
    return cast("Access | None", g.entitlement)


def entitled(feature: str) -> bool:
    """Whether the visitor's plan has a feature, and nothing owed stands before it."""
    found = current_entitlement()
    return found is not None and found.walled_at is None and feature in found.features


def within(limit: str, used: int) -> bool:
    """Whether one more may be added to the ``used`` ones; a limit of null is none.

    A plan that doesn't name the limit grants nothing of it.
    """
    found = current_entitlement()
    if found is None or found.walled_at is not None or limit not in found.limits:
        return False
    most = found.limits[limit]
    return most is None or used < most


def require_plan(*slugs: str) -> Callable[[View], View]:
    """Let only subscribers of these plans through; of any plan when none is named.

    Who pays for something that is none of our plans has none.
    """
    return _require(lambda found: found.plan_slug in slugs if slugs else found.plan_slug != "")


def require_feature(key: str) -> Callable[[View], View]:
    """Let only those through whose plan has this feature."""
    return _require(lambda found: key in found.features)


def _require(suffices: Callable[[Access], bool]) -> Callable[[View], View]:
    def mark(view: View) -> View:
        @wraps(view)
        def asked(*args: Any, **kwargs: Any) -> Any:
            refusal = _refuse(suffices)
            return view(*args, **kwargs) if refusal is None else refusal

        return cast(View, asked)

    return mark


def _refuse(suffices: Callable[[Access], bool]) -> Response | None:
    """Return where the visitor has to go first; None lets them through."""
    if not current_user.is_authenticated:
        here = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return redirect(url_for("accounts.login", next=here), 303)
    found = current_entitlement()
    if found is not None and suffices(found) and found.walled_at is None:
        return None
    wants = request.accept_mimetypes
    if wants.accept_json and not wants.accept_html:
        raise PlanNeeded
    if found is not None and found.walled_at is not None:
        return redirect(url_for("billing.wall"), 303)
    flash(NEEDS_PLAN if found is None else NEEDS_MORE, "info")
    return redirect(url_for("billing.pricing"), 303)


def _find() -> Access | None:
    if current_app.config["SESSION_COOKIE_NAME"] not in request.cookies:
        return None
    # Who is there has been asked already, on pages that are for members.
    if "_login_user" in g:
        known = current_user.is_authenticated
        return find_access(current_user.id) if known else None
    name = str(session.get("_user_id", "")).partition(".")[0]
    try:
        return find_access_of_session(uuid.UUID(name))
    except ValueError:
        return None
