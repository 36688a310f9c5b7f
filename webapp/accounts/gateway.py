"""The only door to Google's and Apple's sign-in: OpenID Connect, its answers checked to the letter.

Network happens here and nowhere inside a transaction. The rules are those of OpenID Connect Core
1.0, 3.1.3.7 (ID tokens) and Discovery 1.0, 4.3; PKCE is RFC 7636, always with S256.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, KeySet

from webapp.accounts.errors import ProviderUnavailable, SignInRefused
from webapp.accounts.models import IdentityProvider
from webapp.core import clock
from webapp.core.config import Config

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5
# Endpoints and keys are asked for again after this; a key nobody knows is asked for at once.
REMEMBERED = timedelta(hours=1)
LEEWAY_SECONDS = 60
# Nothing else opens a door here: not "none", and no secret shared by both sides.
ALGORITHMS = ["RS256", "ES256"]
SECRET_LASTS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Apple's kind of client secret: a key of ours that signs a new one for every request."""

    team_id: str
    key_id: str
    pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as it was set up here."""

    name: IdentityProvider
    title: str
    issuer: str
    # How it may name itself in an ID token.
    issuers: tuple[str, ...]
    client_id: str
    secret: str | SigningKey = field(repr=False)
    scope: str = "openid email profile"
    # Apple answers by a form of its own page when it is asked for the address.
    response_mode: str | None = None
    # What makes it ask which of several accounts is meant, where it would not ask by itself.
    choose: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What only the browser that set out can bring back: none of it may be used twice."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider vouches for. ``subject`` is the person's name there and never changes."""

    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""


def read_providers(config: Config) -> dict[IdentityProvider, Provider]:
    """Return the providers whose credentials are complete, in the order they are shown."""
    found = {}
    if config.google_is_on:
        found[IdentityProvider.GOOGLE] = Provider(
            IdentityProvider.GOOGLE,
            "Google",
            config.google_issuer,
            # https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken
            (config.google_issuer, config.google_issuer.removeprefix("https://")),
            config.google_client_id,
            config.google_client_secret,
            choose="select_account",
        )
    if config.apple_is_on:
        found[IdentityProvider.APPLE] = Provider(
            IdentityProvider.APPLE,
            "Apple",
            config.apple_issuer,
            (config.apple_issuer,),
            config.apple_client_id,
            SigningKey(config.apple_team_id, config.apple_key_id, config.apple_private_key),
            scope="openid email name",
            response_mode="form_post",
        )
    return found


def set_out(provider: Provider, redirect_uri: str, *, choose: bool = False) -> tuple[str, Attempt]:
    """Return where to send the browser, and what it must bring back.

    ``choose`` lets the person pick one of their accounts there. Raises ProviderUnavailable.
    """
    attempt = Attempt(
        secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    )
    client = _client(provider, redirect_uri)
    url, _ = client.create_authorization_url(
        _endpoints(provider).authorization,
        state=attempt.state,
        code_verifier=attempt.verifier,
        nonce=attempt.nonce,
        response_mode=provider.response_mode,
        prompt=provider.choose if choose else None,
    )
    return str(url), attempt


def come_back(provider: Provider, redirect_uri: str, code: str, attempt: Attempt) -> Claims:
    """Exchange the code and return what the provider says of whoever brought it.

    Raises ProviderUnavailable, or SignInRefused when anything about the answer is not right.
    """
    token = _exchange(provider, redirect_uri, code, attempt)
    id_token = token.get("id_token")
    if not isinstance(id_token, str):
        raise SignInRefused(provider.title, "no id_token")
    return _read(_validated(provider, id_token, token.get("access_token"), attempt))


def _client(provider: Provider, redirect_uri: str, secret: str | None = None) -> Any:
    return OAuth2Session(
        provider.client_id,
        secret,
        token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method, no secret
        scope=provider.scope,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
    )


def _exchange(provider: Provider, redirect_uri: str, code: str, attempt: Attempt) -> dict[str, Any]:
    client = _client(provider, redirect_uri, _secret(provider))
    try:
        token: dict[str, Any] = client.fetch_token(
            _endpoints(provider).token,
            grant_type="authorization_code",
            code=code,
            code_verifier=attempt.verifier,
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            # Whoever redirects this would get the code and the secret.
            allow_redirects=False,
        )
    except OAuthError as error:
        if error.error == "invalid_client":
            raise ProviderUnavailable(provider.title, "our credentials are refused") from error
        raise SignInRefused(provider.title, f"code refused: {error.error}") from error
    except (requests.RequestException, ValueError, TypeError) as error:
        raise ProviderUnavailable(provider.title, f"token: {type(error).__name__}") from error
    return token


def _secret(provider: Provider) -> str:
    if isinstance(provider.secret, str):
        return provider.secret
    # https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
    now = clock.now()
    claims = {
        "iss": provider.secret.team_id,
        "iat": int(now.timestamp()),
        "exp": int((now + SECRET_LASTS).timestamp()),
        "aud": provider.issuer,
        "sub": provider.client_id,
    }
    try:
        # A host that takes one line per setting has the key's line ends written as \n.
        key = ECKey.import_key(provider.secret.pem.replace("\\n", "\n"))
        header = {"alg": "ES256", "kid": provider.secret.key_id}
        return jwt.encode(header, claims, key, algorithms=["ES256"])
    except (JoseError, ValueError, TypeError) as error:
        raise ProviderUnavailable(provider.title, "our private key can't be read") from error


def _validated(provider: Provider, id_token: str, access_token: Any, attempt: Attempt) -> Any:
    """Return the claims of an ID token that is genuine, for us, for this attempt, and fresh.

    With several audiences ``azp`` has to name us too: that is CodeIDToken's doing.
    """
    try:
        token = _decoded(provider, id_token)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "values": list(provider.issuers)},
                "aud": {"essential": True, "value": provider.client_id},
                "sub": {"essential": True},
                "nonce": {"essential": True},
            },
            params={
                "nonce": attempt.nonce,
                "client_id": provider.client_id,
                "access_token": access_token,
            },
        )
        claims.validate(now=int(clock.now().timestamp()), leeway=LEEWAY_SECONDS)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = getattr(error, "claim", "") or type(error).__name__
        raise SignInRefused(provider.title, f"id_token: {reason}") from error
    return claims


def _decoded(provider: Provider, id_token: str) -> jwt.Token:
    """Check the signature. A key we don't know may be new: then they are fetched again, once."""
    try:
        return jwt.decode(id_token, _keys(provider), ALGORITHMS)
    except InvalidKeyIdError:
        _forget_keys(provider)
        return jwt.decode(id_token, _keys(provider), ALGORITHMS)


def _read(claims: Any) -> Claims:
    # Apple has sent the flag as a text.
    verified = claims.get("email_verified") is True or claims.get("email_verified") == "true"
    email, name = claims.get("email"), claims.get("name")
    return Claims(
        subject=claims["sub"],
        email=email if isinstance(email, str) else "",
        email_verified=verified,
        name=name if isinstance(name, str) else "",
    )


@dataclass(frozen=True, slots=True)
class _Endpoints:
    authorization: str
    token: str
    keys: str


# By issuer and by address; each process asks for itself, and two threads that ask at once do no
# harm: the later answer stays.
_known_endpoints: dict[str, tuple[datetime, _Endpoints]] = {}
_known_keys: dict[str, tuple[datetime, KeySet]] = {}


def _endpoints(provider: Provider) -> _Endpoints:
    at, known = _known_endpoints.get(provider.issuer, (None, None))
    if known is not None and at is not None and clock.now() - at < REMEMBERED:
        return known
    document = _fetch(provider, f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != provider.issuer:
        raise ProviderUnavailable(provider.title, "the discovery document is another issuer's")
    scheme = provider.issuer.partition("://")[0]
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    found = [str(document.get(name, "")) for name in names]
    if not all(url.startswith(f"{scheme}://") for url in found):
        raise ProviderUnavailable(provider.title, "the discovery document lacks an endpoint")
    endpoints = _Endpoints(*found)
    _known_endpoints[provider.issuer] = clock.now(), endpoints
    return endpoints


def _keys(provider: Provider) -> KeySet:
    url = _endpoints(provider).keys
    at, known = _known_keys.get(url, (None, None))
    if known is not None and at is not None and clock.now() - at < REMEMBERED:
        return known
    try:
        keys = KeySet.import_key_set({"keys": _fetch(provider, url)["keys"]})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProviderUnavailable(provider.title, "the keys can't be read") from error
    _known_keys[url] = clock.now(), keys
    return keys


def _forget_keys(provider: Provider) -> None:
    _known_keys.pop(_endpoints(provider).keys, None)


def _fetch(provider: Provider, url: str) -> dict[str, Any]:
    try:
        answer = requests.get(
            url,
            headers={"Accept": "application/json"},
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            allow_redirects=False,
        )
        answer.raise_for_status()
        document = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise ProviderUnavailable(provider.title, f"fetch: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise ProviderUnavailable(provider.title, "fetch: no JSON object")
    return document
