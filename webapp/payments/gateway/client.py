"""The one client of Stripe's, and its errors in two kinds: refused for good, or unknown."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests
import stripe
from flask import current_app
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from webapp.core.config import Config
from webapp.core.state import current_config
from webapp.payments.errors import NoSuchStripeObject, StripeRefused, StripeUnavailable

EXTENSION = "stripe"
# As many threads of a process may ask at the same time without opening one for a single request.
CONNECTIONS = 32


def client() -> stripe.StripeClient:
    client: stripe.StripeClient | None = current_app.extensions.get(EXTENSION)
    if client is None:
        client = current_app.extensions[EXTENSION] = _connect(current_config())
    return client


def _connect(config: Config) -> stripe.StripeClient:
    http = stripe.RequestsClient(
        timeout=config.stripe_timeout_seconds,
        session=_session(config.stripe_api_base or stripe.DEFAULT_API_BASE),
        async_fallback_client=None,
    )
    if not config.stripe_api_base:
        return stripe.StripeClient(config.stripe_secret_key, http_client=http)
    base = config.stripe_api_base
    return stripe.StripeClient(
        config.stripe_secret_key,
        http_client=http,
        base_addresses={"api": base, "connect": base, "files": base, "meter_events": base},
    )


def _session(base: str) -> requests.Session:
    """Connections that threads share; the environment's proxies are looked up here and only here.

    By itself requests looks through the environment and for a .netrc before every request.
    """
    session = requests.Session()
    session.proxies.update(get_environ_proxies(base))
    session.trust_env = False
    session.mount(base, HTTPAdapter(pool_maxsize=CONNECTIONS))
    return session


class Errors:
    """Turns the SDK's errors into ours: refused for good, or unknown and to be asked again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, stripe.StripeError):
            return
        message = error.user_message or str(error)
        if isinstance(error, stripe.APIConnectionError | stripe.RateLimitError):
            raise StripeUnavailable(f"Stripe did not answer: {message}") from error
        status = error.http_status or 500
        # 409: another request with the same idempotency key is still under way. 401 and 403: our
        # own key is wrong just now, which says nothing about the payment.
        if status >= 500 or status in (401, 403, 409):
            raise StripeUnavailable(f"Stripe could not answer: {message}") from error
        if status == 404:
            raise NoSuchStripeObject(message) from error
        raise StripeRefused(message) from error


def fetch(path: str, id_: str = "", **params: Any) -> dict[str, Any]:
    """GET an object, or a page of a list, as plain JSON.

    What comes in crowds is read this way: the SDK's own objects take milliseconds each.
    """
    with Errors():
        address = f"/v1/{path}/{quote(id_, safe='')}" if id_ else f"/v1/{path}"
        found: dict[str, Any] = client().raw_request("get", address, **params).data
    return found


def fetch_all(path: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Yield a list's objects, newest first, page by page."""
    after: dict[str, str] = {}
    while True:
        page = fetch(path, limit=100, **params, **after)
        yield from page["data"]
        if not page["has_more"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}


def id_of(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value.id)
