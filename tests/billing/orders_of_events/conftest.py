"""A sandbox whose clock may be moved without anybody else noticing, and four stories told by it."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sandbox.stripe.contract import Recorder
from sandbox.stripe.server import StripeSandbox, start
from tests.billing.orders_of_events.stories import Teller
from tests.factories.sales import StripeDesk


@pytest.fixture(scope="module")
def stripe_sandbox(
    tmp_path_factory: pytest.TempPathFactory, stripe_calls: Recorder
) -> Iterator[StripeSandbox]:
    with start(tmp_path_factory.mktemp("moved"), on_exchange=stripe_calls) as sandbox:
        yield sandbox


@pytest.fixture
def teller(app: Flask, client: FlaskClient, stripe_desk: StripeDesk) -> Iterator[Teller]:
    with Teller.begin(client, stripe_desk) as teller:
        yield teller
