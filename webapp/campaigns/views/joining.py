"""Where people ask for the newsletter: on our page, or in a frame on another site."""

import hashlib
from collections.abc import Callable
from typing import Any

from flask import Response, make_response, redirect, render_template, request, url_for
from flask_limiter import RateLimitExceeded
from flask_login import current_user
from werkzeug import Response as AnyResponse

from webapp.accounts.views.keys import refused, unshared
from webapp.campaigns.forms.joining import EmbeddedForm, JoinForm
from webapp.campaigns.services import newsletter
from webapp.campaigns.services.settings import get_settings
from webapp.campaigns.views.blueprint import blueprint
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.limits import retry_after
from webapp.core.security import csrf, limiter

WISHES = "5 per hour"


def _typed_address() -> str:
    return hashlib.sha256(request.form.get("email", "").strip().lower().encode()).hexdigest()


@limiter.limit(WISHES, override_defaults=False)
@limiter.limit(WISHES, key_func=_typed_address, override_defaults=False)
def _count_wish() -> None:
    """Count a wish that is complete; mistakes in the form cost nothing."""


@blueprint.route("/newsletter", methods=["GET", "POST"])
@open_to(EVERYONE)
def join() -> AnyResponse:
    """Ask for the newsletter; the answer is the same whether the address is known or not."""
    form = JoinForm()
    if request.method == "GET":
        return _page(form, 200)
    if not form.validate():
        return _page(form, 422)
    try:
        _count_wish()
    except RateLimitExceeded:
        return _too_many(form, _page)
    waits = _take(form, own=_is_own(form.email.data))
    return redirect(url_for("campaigns.join_asked" if waits else "campaigns.join_done"), 303)


@blueprint.get("/newsletter/asked")
@open_to(EVERYONE)
def join_asked() -> str:
    return render_template("campaigns/join_asked.html")


@blueprint.get("/newsletter/welcome")
@open_to(EVERYONE)
def join_done() -> str:
    return render_template("campaigns/join_done.html", email="")


@blueprint.get("/newsletter/confirm/<token>")
@open_to(EVERYONE)
def join_question(token: str) -> Response:
    """Show a button: mail scanners open links, so opening one must change nothing."""
    try:
        invitation = newsletter.read_invitation(token)
    except DomainError as error:
        return refused("campaigns/join_refused.html", error)
    return unshared(render_template("campaigns/join_question.html", invitation=invitation))


@blueprint.post("/newsletter/confirm/<token>")
@open_to(EVERYONE)
def join_confirm(token: str) -> Response:
    try:
        invitation = newsletter.read_invitation(token)
    except DomainError as error:
        return refused("campaigns/join_refused.html", error)
    newsletter.confirm(invitation)
    db.session.commit()
    return unshared(render_template("campaigns/join_done.html", email=invitation.email))


@blueprint.get("/newsletter/form")
@open_to(EVERYONE)
def join_form() -> Response:
    """Show the bare form, for a frame on the sites that the settings name."""
    return _bare(EmbeddedForm(formdata=None), 200)


@blueprint.post("/newsletter/form")
@open_to(EVERYONE)
@csrf.exempt
def join_elsewhere() -> Response:
    """Take a wish from another site, where browsers keep the session's cookie back.

    Without a form of ours before it, it is no wish yet: it is shown once more, filled in.
    """
    form = EmbeddedForm()
    if not form.was_seen:
        return _bare(form, 200, again=True)
    if not form.validate():
        return _bare(form, 422)
    try:
        _count_wish()
    except RateLimitExceeded:
        return _too_many(form, _bare)
    waits = _take(form, own=False)
    return _framed(render_template("campaigns/join_bare_done.html", waits=waits), 200)


def _take(form: JoinForm, *, own: bool) -> bool:
    """Return whether a mail has to be answered. A trapped machine hears the same, and gets none."""
    if form.is_machine:
        return get_settings().double_opt_in
    waits = newsletter.ask(form.wish(), own=own)
    db.session.commit()
    return waits


def _is_own(email: str) -> bool:
    """Whether a member asks for the address they have shown to be theirs."""
    if not current_user.is_authenticated:
        return False
    user = current_user.user
    return bool(user.email_verified_at is not None and user.email == email)


def _too_many(form: JoinForm, page: Callable[[Any, int], Response]) -> Response:
    seconds = retry_after()
    minutes = -(-seconds // 60)
    form.form_errors.append(
        "That was very often in one hour. Wait "
        + ("a minute" if minutes == 1 else f"{minutes} minutes")
        + ", then try again."
    )
    answer = page(form, 429)
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _page(form: JoinForm, status: int) -> Response:
    page = make_response(render_template("campaigns/join.html", form=form), status)
    page.headers["Cache-Control"] = "private, no-store"
    return page


def _bare(form: EmbeddedForm, status: int, *, again: bool = False) -> Response:
    form.begin()
    return _framed(render_template("campaigns/join_bare.html", form=form, again=again), status)


def _framed(page: str, status: int) -> Response:
    """Let the sites that the settings name, and no others, show a page in a frame."""
    sites = " ".join(get_settings().embed_origins.split()) or "'none'"
    policy = (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        f"form-action 'self'; frame-ancestors {sites}"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return make_response(page, status, headers)
