"""How Stripe is reached: as the environment says, looked up once."""

import pytest

from webapp.payments.gateway import client


def test_the_environments_proxy_leads_to_stripe_and_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Small letters come first, so that the machine's own proxy has no say.
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    session = client._session("https://api.stripe.com")
    assert session.proxies["https"] == "http://proxy.example:3128"
    assert not session.trust_env


def test_what_needs_no_proxy_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert client._session("http://127.0.0.1:12111").proxies == {}
