"""Google and Apple on loopback, and a browser that has not been anywhere."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.accounts.oidc.provider import Manner, OidcProvider, serve
from tests.accounts.oidc.visiting import (
    switch_on,
)
from webapp.core.state import bind


@pytest.fixture
def bare(app: Flask) -> Iterator[Flask]:
    """The app, whose settings are as before when the test is over."""
    config, fork = app.extensions["startupwebapp"]
    yield app
    bind(app, config, fork)


@pytest.fixture
def google(bare: Flask) -> Iterator[OidcProvider]:
    with serve(Manner.GOOGLE) as provider:
        switch_on(bare, provider)
        yield provider


@pytest.fixture
def apple(bare: Flask) -> Iterator[OidcProvider]:
    with serve(Manner.APPLE) as provider:
        switch_on(bare, provider)
        yield provider


@pytest.fixture(params=list(Manner), ids=str)
def provider(request: pytest.FixtureRequest) -> OidcProvider:
    """Each of them in turn."""
    found: OidcProvider = request.getfixturevalue(request.param.value)
    return found


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()
