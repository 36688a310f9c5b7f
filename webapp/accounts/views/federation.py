"""Signing in with Google and Apple; linking an account there to one here, and unlinking it."""

import logging
import uuid
from dataclasses import dataclass, replace

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug import Response

from webapp.accounts import gateway
from webapp.accounts.errors import ProviderUnavailable, SignInRefused
from webapp.accounts.gateway import Claims, Provider
from webapp.accounts.models import IdentityProvider, LinkedIdentity, LoginMethod
from webapp.accounts.queries.identities import list_identities
from webapp.accounts.services import identities, sessions
from webapp.accounts.views.blueprint import blueprint
from webapp.accounts.views.door import enter
from webapp.accounts.views.guard import actor, renew, same_site
from webapp.accounts.views.journey import (
    LONGEST_PARAMETER,
    Journey,
    forget_name,
    keep_name,
    kept_name,
)
from webapp.accounts.views.keys import unshared
from webapp.accounts.views.proving import grave
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.security import csrf, limiter
from webapp.core.state import current_config

logger = logging.getLogger(__name__)

SECURITY_PAGE = "/account/security"
TITLES = {IdentityProvider.GOOGLE: "Google", IdentityProvider.APPLE: "Apple"}
# Each of these makes us ask the provider something: not as often as somebody likes.
PACE = "30 per minute"
_BY_NAME = "<any(google, apple):provider>"


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A provider on the security page; ``offered``: it can be linked now."""

    name: str
    title: str
    linked: LinkedIdentity | None
    offered: bool


@blueprint.app_template_global()
def sign_in_providers() -> list[Provider]:
    """Return the providers to show buttons for: none without credentials."""
    return list(gateway.read_providers(current_config()).values())


@blueprint.app_template_global()
def identity_rows() -> list[IdentityRow]:
    """Return what the person of this request has linked, and could."""
    linked = {identity.provider: identity for identity in list_identities(current_user.id)}
    offered = gateway.read_providers(current_config())
    return [
        IdentityRow(name.value, title, linked.get(name), name in offered)
        for name, title in TITLES.items()
        if name in linked or name in offered
    ]


@blueprint.get(f"/login/{_BY_NAME}")
@open_to(EVERYONE)
@limiter.limit(PACE, override_defaults=False)
def start_identity(provider: str) -> Response:
    """Send the browser to the provider."""
    found = _provider_or_404(provider)
    target = same_site(request.args.get("next"))
    try:
        return _set_out(found, target)
    except ProviderUnavailable as error:
        return _refused(found, error, target)


@blueprint.get(f"/login/{_BY_NAME}/callback")
@open_to(EVERYONE)
@limiter.limit(PACE, override_defaults=False)
def identity_callback(provider: str) -> Response:
    """Take what the provider sent the browser back with, and do what it went there for."""
    found = _provider_or_404(provider)
    journey = Journey.end()
    try:
        if journey is None or not journey.leads_back(provider, request.args.get("state", "")):
            raise SignInRefused(found.title, "state", _lost(found))
        answer = _arrived(found, journey)
    except DomainError as error:
        return _refused(found, error, journey.target if journey is not None else None)
    forget_name(answer)
    return answer


# Apple answers with a POST from its own page, without our SameSite cookies, so there is no session
# and no token to check. It changes nothing here and hands over to the GET, whose state is checked.
@blueprint.post("/login/apple/callback")
@open_to(EVERYONE)
@csrf.exempt
def apple_handover() -> Response:
    """Turn Apple's form into the question that Google's answer is from the start."""
    found = _provider_or_404(IdentityProvider.APPLE)
    fields = {name: request.form.get(name, "") for name in ("code", "state", "error", "iss")}
    carried = {name: value for name, value in fields.items() if 0 < len(value) <= LONGEST_PARAMETER}
    answer = redirect(_callback_path(found, **carried), 303)
    keep_name(answer, carried.get("state", ""), request.form.get("user", ""))
    return answer


@blueprint.post(f"{SECURITY_PAGE}/identities/{_BY_NAME}/link")
@open_to(MEMBERS)
@limiter.limit(PACE, override_defaults=False)
@grave
def link_identity(provider: str) -> Response:
    """Send the browser to the provider, to link whoever it comes back as."""
    found = _provider_or_404(provider)
    user_id = current_user.id
    # The network comes next: no transaction waits for it.
    db.session.commit()
    try:
        return _set_out(found, SECURITY_PAGE, user_id)
    except ProviderUnavailable as error:
        return _refused(found, error, SECURITY_PAGE)


@blueprint.post(f"{SECURITY_PAGE}/identities/{_BY_NAME}/unlink")
@open_to(MEMBERS)
@grave
def unlink_identity(provider: str) -> Response:
    """Close this way in; also when the provider is switched off by now."""
    name = IdentityProvider(provider)
    try:
        if identities.unlink(current_user.user, name, TITLES[name], actor()):
            flash(f"{TITLES[name]} no longer opens your account.", "success")
        db.session.commit()
    except DomainError as error:
        db.session.rollback()
        flash(error.sentence, "error")
    return redirect(SECURITY_PAGE, 303)


def _provider_or_404(name: str) -> Provider:
    found = gateway.read_providers(current_config()).get(IdentityProvider(name))
    if found is None:
        abort(404)
    return found


def _callback_path(provider: Provider, **values: str) -> str:
    name = provider.name.value
    return url_for("accounts.identity_callback", provider=name, _external=False, **values)


def _callback_url(provider: Provider) -> str:
    """Return the address as the provider knows it, never by what the Host header says."""
    return current_config().base_url.rstrip("/") + _callback_path(provider)


def _set_out(provider: Provider, target: str | None, user_id: uuid.UUID | None = None) -> Response:
    choose = user_id is not None
    url, attempt = gateway.set_out(provider, _callback_url(provider), choose=choose)
    Journey.begin(provider.name.value, attempt, target, str(user_id) if user_id else None)
    return redirect(url, 303)


def _arrived(provider: Provider, journey: Journey) -> Response:
    # RFC 9207: an answer that names its issuer names the one that was asked.
    if request.args.get("iss", provider.issuer) not in provider.issuers:
        raise SignInRefused(provider.title, "issuer of the answer")
    if "error" in request.args:
        return _left(provider, journey)
    code = request.args.get("code", "")
    if not 0 < len(code) <= LONGEST_PARAMETER:
        raise SignInRefused(provider.title, "no code", _lost(provider))
    claims = gateway.come_back(provider, _callback_url(provider), code, journey.attempt)
    if journey.user is not None:
        return _link(provider, journey, claims)
    if current_user.is_authenticated:
        return _prove(provider, journey, claims)
    named = claims if claims.name else replace(claims, name=kept_name(journey))
    user = identities.sign_in(provider, named, actor())
    return enter(user, LoginMethod(provider.name.value), target=journey.target)


def _left(provider: Provider, journey: Journey) -> Response:
    """Somebody thought better of it there, or the provider has a trouble of its own."""
    if request.args["error"] not in ("access_denied", "user_cancelled_authorize"):
        raise ProviderUnavailable(provider.title, "an error instead of a code")
    flash(f"You came back from {provider.title} without signing in there.", "info")
    if journey.user is not None:
        return redirect(SECURITY_PAGE, 303)
    return redirect(url_for("accounts.login", next=journey.target), 303)


def _prove(provider: Provider, journey: Journey, claims: Claims) -> Response:
    """Somebody who is in already shows once more that they are who they are."""
    if not identities.is_linked(current_user.id, provider, claims):
        raise SignInRefused(
            provider.title,
            "another account",
            f"This {provider.title} account does not open the account you are logged in with. "
            "Link it on your security page, or log out first.",
        )
    token = sessions.prove(current_user.login)
    db.session.commit()
    renew(token)
    return redirect(journey.target or "/account", 303)


def _link(provider: Provider, journey: Journey, claims: Claims) -> Response:
    if not current_user.is_authenticated or str(current_user.id) != journey.user:
        raise SignInRefused(
            provider.title,
            "another person",
            "You were logged out meanwhile. Log in and try once more.",
        )
    identities.link(current_user.user, provider, claims, actor())
    db.session.commit()
    flash(f"{provider.title} opens your account from now on.", "success")
    return redirect(SECURITY_PAGE, 303)


def _lost(provider: Provider) -> str:
    return (
        f"This answer from {provider.title} does not belong to this browser, or came too late. "
        "Nobody was signed in: please start again."
    )


def _refused(provider: Provider, error: DomainError, target: str | None) -> Response:
    """Say what is wrong on a page that leads to the other ways in."""
    db.session.rollback()
    reason = getattr(error, "reason", "")
    details = {"provider": provider.name.value, "code": error.code, "why": reason}
    logger.warning("sign-in with a provider failed", extra=details)
    page = render_template(
        "accounts/sign_in_with_refused.html",
        error=error,
        provider=provider,
        target=target,
        signed_in=current_user.is_authenticated,
    )
    return unshared(page, error.status)
