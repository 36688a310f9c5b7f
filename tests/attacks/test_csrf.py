"""No other site can make a visitor's browser change anything: walked over every route there is."""

import uuid

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.attacks.cast import Cast
from tests.attacks.intruder import JSON, Intruder, is_csrf_refusal, signed_csrf
from tests.attacks.picture import TRACES, changed, picture
from tests.attacks.routes import Argument, Route, open_routes, routes_of
from tests.other_apps import MakeApp

HTTPS = "https://localhost"
PEOPLE = ["guest", "alice", "owner"]
# Held to a signature, or to a state and a nonce, instead of a token.
EXCEPTIONS = {
    "payments.stripe_webhook",
    "accounts.apple_handover",
    "messaging.ses_webhook",
    "messaging.sendgrid_webhook",
    "campaigns.leave",
    "campaigns.leave_at_once",
    "campaigns.join_elsewhere",
}
EVIL = {"Origin": "https://evil.example", "Referer": "https://evil.example/trap"}


def guarded(app: Flask) -> list[Route]:
    found = [r for r in routes_of(app) if r.changes and r.endpoint not in EXCEPTIONS]
    assert len(found) > 100, "a walk over few routes proves little"
    return found


def forgeries(app: Flask, cast: Cast) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return form fields and headers of each kind of forgery, by its name."""
    bobs = cast.browser("bob").token()
    return {
        "no token": ({}, {}),
        "no token, from elsewhere": ({}, EVIL),
        "no token, from nowhere": ({}, {"Origin": "null"}),
        "an empty token": ({"csrf_token": ""}, {}),
        "a token of nobody": ({"csrf_token": "0" * 40}, {}),
        "another session's token": ({"csrf_token": bobs}, EVIL),
        "another session's token as a header": ({}, {"X-CSRFToken": bobs}),
        "another field's name": ({"evil-csrf_token": bobs}, {}),
        "unsigned": ({"csrf_token": signed_csrf(app, "x").replace(".", "-")}, {}),
    }


@pytest.mark.parametrize("name", PEOPLE)
def test_no_route_changes_anything_without_the_sessions_own_token(
    app: Flask, cast: Cast, name: str
) -> None:
    browser = cast.browser(name)
    browser.token()
    kinds = forgeries(app, cast)
    before = picture()
    let_through = []
    for route in guarded(app):
        for method in sorted(route.changes):
            for kind, (fields, headers) in kinds.items():
                answer = browser.open(
                    route.address(), method=method, data=fields, headers=JSON | headers
                )
                if not is_csrf_refusal(answer):
                    let_through.append(f"{method} {route.rule} with {kind}: {answer.status}")
    assert let_through == []
    assert changed(before, picture()) == []


def test_simple_requests_that_carry_json_are_no_way_round(app: Flask, cast: Cast) -> None:
    """A form can post text/plain that reads as JSON without asking first (CORS)."""
    browser = cast.browser("alice")
    browser.token()
    before = picture()
    for route in guarded(app):
        for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
            answer = browser.post(
                route.address(), data=b'{"csrf_token": "x"}', content_type=kind, headers=JSON | EVIL
            )
            if "POST" in route.methods:
                assert is_csrf_refusal(answer), (route.rule, kind, answer.status)
    assert changed(before, picture()) == []


def test_methods_cannot_be_talked_over(app: Flask, cast: Cast) -> None:
    browser = cast.browser("alice")
    before = picture(without=TRACES)
    read = {route.rule for route in routes_of(app) if "GET" in route.methods}
    for route in guarded(app):
        if route.rule not in read:
            for more in ({"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "POST"}):
                answer = browser.get(f"{route.address()}?_method=POST", headers=more)
                assert answer.status_code in (303, 403, 404, 405), (route.rule, answer.status)
    assert changed(before, picture(without=TRACES)) == []


@pytest.mark.parametrize("name", PEOPLE)
def test_with_the_own_token_every_route_is_reached(app: Flask, cast: Cast, name: str) -> None:
    """The refusals above are the token's and nothing else's."""
    for route in guarded(app):
        for method in sorted(route.changes):
            browser = cast.browser(name)
            fields = {"csrf_token": browser.token()}
            answer = browser.open(route.address(), method=method, data=fields, headers=JSON)
            assert not is_csrf_refusal(answer), (method, route.rule, answer.text)


def over_https(app: Flask, token: str, cookie: str, route: Route, **headers: str) -> TestResponse:
    browser = Intruder(app, app.response_class)
    with browser.session_transaction(base_url=HTTPS) as opened:
        opened["csrf_token"] = cookie
    return browser.post(
        route.address(),
        base_url=HTTPS,
        data={"csrf_token": token},
        headers=JSON | headers,
    )


def test_over_https_the_page_before_must_be_ours(cast: Cast, make_app: MakeApp) -> None:
    secure = make_app(base_url=HTTPS)
    token = signed_csrf(secure, "raw")
    routes = [r for r in guarded(secure) if "POST" in r.methods]
    for route in routes:
        for referer in (
            None,
            "https://evil.example/",
            "http://localhost/",
            "https://localhost.evil.example/",
            "https://localhost:444/",
            "https://localhost@evil.example/",
        ):
            headers = {"Referer": referer} if referer else {}
            answer = over_https(secure, token, "raw", route, **headers)
            assert is_csrf_refusal(answer), (route.rule, referer, answer.status)
    for route in routes:
        answer = over_https(secure, token, "raw", route, Referer=f"{HTTPS}/cart")
        assert not is_csrf_refusal(answer), (route.rule, answer.text)


@pytest.mark.parametrize("name", PEOPLE)
def test_looking_changes_nothing(app: Flask, cast: Cast, name: str) -> None:
    """GET is what other sites, mail scanners and browsers' prefetching can always send."""
    browser = cast.browser(name)
    before = picture(without=TRACES)
    for route in open_routes(app):
        if "GET" in route.methods:
            for values in looked_at(cast, route):
                browser.get(route.address(values), headers=JSON)
            # Looking at it after every request would be exact, and slow.
            if route.arguments:
                assert changed(before, picture(without=TRACES)) == [], route.rule
    assert changed(before, picture(without=TRACES)) == []


def looked_at(cast: Cast, route: Route) -> list[dict[str, object]]:
    """What to fill a route's arguments with: nothing real, and each of alice's own."""
    found: list[dict[str, object]] = [{}]
    for argument in route.arguments:
        for ids in cast.ids.values():
            found += [{argument.name: value} for value in ids[:1] if fits(argument, value)]
    return found


def fits(argument: Argument, value: object) -> bool:
    kinds = {"int": int, "uuid": uuid.UUID}
    return isinstance(value, kinds.get(argument.kind, object))
