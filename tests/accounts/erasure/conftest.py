"""Whose lives there are to forget, and to leave alone."""

import shutil
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories.lives import ALICE, BOB, Life, RunJobs
from tests.factories.sales import StripeDesk
from webapp.accounts.models import User
from webapp.core.state import current_fork


@pytest.fixture(autouse=True)
def _no_files(app: Flask) -> Iterator[None]:
    """Uploads outlive a test's database."""
    yield
    shutil.rmtree(current_fork().upload_folder / "exports", ignore_errors=True)


@pytest.fixture
def alice(client: FlaskClient, stripe_desk: StripeDesk, run_jobs: RunJobs) -> User:
    return Life(ALICE, client, stripe_desk, run_jobs).live()


@pytest.fixture
def bob(app: Flask, client: FlaskClient, stripe_desk: StripeDesk, run_jobs: RunJobs) -> User:
    return Life(BOB, app.test_client(), stripe_desk, run_jobs).live()
