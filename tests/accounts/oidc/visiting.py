"""How a test plays a browser between the app and the provider."""

import re
from urllib.parse import parse_qsl, urlsplit

import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.accounts.oidc.provider import Manner, OidcProvider, Person
from webapp.accounts.models import LoginSession, User
from webapp.core.state import bind

ALICE = Person("alice@example.com", "alice-1001", "Alice Doe")
BOB = Person("bob@example.com", "bob-1002", "Bob Roe")


def switch_on(app: Flask, *providers: OidcProvider) -> None:
    """Give the app the credentials of ``providers``."""
    config, fork = app.extensions["startupwebapp"]
    settings = {name: value for one in providers for name, value in one.settings().items()}
    bind(app, config.model_copy(update=settings), fork)


def leave(browser: FlaskClient, provider: OidcProvider, **query: str) -> str:
    """Click on the provider's button and return where it leads."""
    answer = browser.get(f"/login/{provider.manner}", query_string=query)
    assert answer.status_code == 303
    assert answer.location.startswith(f"{provider.url}/authorize?")
    return answer.location


def at_provider(url: str) -> tuple[str, dict[str, str]]:
    """Be there, and return the path and the parameters that the browser is sent back with."""
    answer = requests.get(url, allow_redirects=False, timeout=60)
    if answer.is_redirect:
        parts = urlsplit(answer.headers["Location"])
        return parts.path, dict(parse_qsl(parts.query))
    assert answer.ok, answer.text
    target = re.search(r'action="([^"]+)"', answer.text)
    assert target, answer.text
    fields = re.findall(r'name="(\w+)" value="([^"]*)"', answer.text)
    unescaped = {name: value.replace("&quot;", '"') for name, value in fields}
    return urlsplit(target.group(1)).path, unescaped


def arrive(
    browser: FlaskClient, provider: OidcProvider, answer: tuple[str, dict[str, str]]
) -> TestResponse:
    """Carry the provider's answer to the app, as Google does or as Apple does."""
    path, parameters = answer
    if provider.manner is Manner.GOOGLE:
        return browser.get(path, query_string=parameters)
    # A POST from another site brings no SameSite cookies along.
    handed_over = browser.application.test_client().post(path, data=parameters)
    assert handed_over.status_code == 303
    for header in handed_over.headers.getlist("Set-Cookie"):
        name, _, rest = header.partition("=")
        browser.set_cookie(name, rest.partition(";")[0])
    return browser.get(handed_over.location)


def visit(
    browser: FlaskClient, provider: OidcProvider, person: Person, **query: str
) -> TestResponse:
    """Go there and back as ``person``."""
    provider.answers_as = person
    return arrive(browser, provider, at_provider(leave(browser, provider, **query)))


def is_in(browser: FlaskClient) -> bool:
    return browser.get("/account/security").status_code == 200


def users(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(User)) or 0


def nobody_is_in(session: Session, browser: FlaskClient) -> bool:
    opened = session.scalar(select(func.count()).select_from(LoginSession))
    return opened == 0 and not is_in(browser)
