"""What every answer carries, whatever it answers: pages, errors, files, JSON, the back office."""

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.attacks.cast import Cast, gather
from tests.attacks.intruder import Intruder
from tests.attacks.pages import Page
from tests.attacks.routes import open_routes
from tests.other_apps import MakeApp
from webapp.core.access import EVERYONE, open_to
from webapp.core.config import Env, load_config
from webapp.core.errors import ConfigError
from webapp.core.state import current_fork

ALWAYS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
QUIET = {"strict-origin-when-cross-origin", "same-origin", "no-referrer", "strict-origin"}
OFF = ("camera=()", "geolocation=()", "microphone=()", "payment=()")
HTTPS = "https://localhost"


def assert_guarded(answer: TestResponse, what: object = "") -> None:
    """Fail unless the answer carries every header, once, and a policy without holes."""
    headers = answer.headers
    for name, value in ALWAYS.items():
        assert headers.getlist(name) == [value], (what, name, headers.getlist(name))
    policies = headers.getlist("Content-Security-Policy")
    assert len(policies) == 1, (what, policies)
    assert_strict(policies[0])
    assert headers.getlist("Referrer-Policy")[0] in QUIET, what
    assert len(headers.getlist("Referrer-Policy")) == 1, what
    permissions = headers.getlist("Permissions-Policy")
    assert len(permissions) == 1 and all(each in permissions[0] for each in OFF), what
    for name in ("X-Powered-By", "X-AspNet-Version"):
        assert name not in headers, what


def assert_strict(policy: str) -> None:
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";") if rule.strip()}
    for forbidden in (
        "'unsafe-inline'",
        "'unsafe-eval'",
        "'unsafe-hashes'",
        "*",
        "http:",
        "https:",
    ):
        assert all(forbidden not in sources for sources in rules.values()), policy
    assert rules["default-src"] in (["'self'"], ["'none'"]), policy
    assert rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == ["'none'"]
    assert rules["form-action"][0] == "'self'"
    assert "data:" not in rules.get("script-src", rules["default-src"])


@pytest.fixture
def cast(app: Flask) -> Cast:
    return gather(app)


@pytest.fixture
def stranger(app: Flask) -> Intruder:
    return Intruder(app, app.response_class)


ANSWERS: dict[int, Callable[[Intruder], TestResponse]] = {
    200: lambda browser: browser.get("/"),
    204: lambda browser: browser.get("/events/token", headers={"DNT": "1"}),
    302: lambda browser: browser.get("/a/none"),
    303: lambda browser: browser.get("/account"),
    308: lambda browser: browser.get("/admin"),
    400: lambda browser: browser.post("/cart/add"),
    404: lambda browser: browser.get("/no-such-page"),
    405: lambda browser: browser.delete("/cart"),
    413: lambda browser: browser.post("/cart/add", data=b"x" * (17 * 1024 * 1024)),
}


@pytest.mark.parametrize("status", ANSWERS)
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*", "image/png"])
def test_answers_of_each_kind_are_guarded(stranger: Intruder, status: int, accept: str) -> None:
    stranger.environ_base["HTTP_ACCEPT"] = accept
    answer = ANSWERS[status](stranger)
    assert answer.status_code == status
    assert_guarded(answer, status)


def test_a_conditional_answer_is_guarded(stranger: Intruder) -> None:
    for path in ("/brand.css", "/static/css/app.css"):
        tag = stranger.get(path).headers["ETag"]
        answer = stranger.get(path, headers={"If-None-Match": tag})
        assert answer.status_code == 304
        assert_guarded(answer, path)
        part = stranger.get(path, headers={"Range": "bytes=0-10"})
        assert part.status_code in (200, 206)
        assert_guarded(part, path)
        assert_guarded(stranger.get(path, headers={"Range": "bytes=999999999-"}), path)


def test_a_refusal_is_guarded(app: Flask, cast: Cast) -> None:
    answer = cast.browser("bob").get("/admin/")
    assert answer.status_code == 403
    assert_guarded(answer)


def test_a_mistake_of_ours_is_guarded_and_tells_nothing(
    app: Flask, stranger: Intruder, monkeypatch: pytest.MonkeyPatch
) -> None:
    @open_to(EVERYONE)
    def broken() -> str:
        raise RuntimeError("secret-detail at /srv/app/models.py")

    monkeypatch.setitem(app.view_functions, "storefront.robots", broken)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    for accept in ("text/html", "application/json"):
        answer = stranger.get("/robots.txt", headers={"Accept": accept})
        assert answer.status_code == 500
        assert_guarded(answer)
        for leak in ("secret-detail", "Traceback", "RuntimeError", ".py"):
            assert leak not in answer.text


def test_files_pictures_and_copies_are_guarded(stranger: Intruder) -> None:
    folder = current_fork().upload_folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "b2.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    for path in (
        "/favicon.ico",
        "/static/js/app.js",
        "/static/img/icons.svg",
        "/robots.txt",
        "/sitemap.xml",
        "/media/pictures/b2.svg",
        "/media/pictures/none.jpg",
        "/health",
        "/ready",
    ):
        assert_guarded(stranger.get(path), path)


def test_asking_for_methods_is_guarded(stranger: Intruder) -> None:
    for method in ("OPTIONS", "HEAD", "TRACE", "PATCH", "PROPFIND", "CONNECT", "EVIL"):
        for path in ("/", "/login", "/admin/", "/static/css/app.css"):
            answer = stranger.open(path, method=method)
            assert_guarded(answer, (method, path))
            assert answer.status_code < 500
            if method not in ("OPTIONS", "HEAD"):
                assert answer.status_code in (303, 403, 404, 405), (method, path)


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_every_page_there_is_is_guarded_and_plain(app: Flask, cast: Cast, name: str) -> None:
    """Nothing that the policy would have to allow stands in any page."""
    browser = cast.browser(name)
    seen = 0
    for route in open_routes(app):
        if "GET" in route.methods:
            answer = browser.get(route.address())
            assert_guarded(answer, route.rule)
            if answer.mimetype == "text/html":
                assert Page(answer.text).faults == [], route.rule
                seen += answer.status_code == 200
    assert seen > 5


@pytest.mark.parametrize("name", ["alice", "owner"])
def test_private_pages_are_kept_by_no_cache(app: Flask, cast: Cast, name: str) -> None:
    """A page for somebody logged in says no-store; "back" after logging out shows nothing."""
    browser = cast.browser(name)
    kept, seen = [], 0
    for route in open_routes(app):
        if "GET" not in route.methods or route.audience == "everyone":
            continue
        answer = browser.get(route.address())
        seen += answer.status_code == 200
        if answer.status_code == 200 and "no-store" not in answer.headers.get("Cache-Control", ""):
            kept.append(route.rule)
    assert kept == []
    assert seen > 10


def test_what_is_cached_for_all_sets_no_cookie(app: Flask, cast: Cast) -> None:
    browser = cast.browser("alice")
    cached = set()
    for route in open_routes(app):
        if "GET" in route.methods:
            answer = browser.get(route.address())
            if answer.cache_control.public:
                assert not answer.headers.getlist("Set-Cookie"), route.rule
                cached.add(route.rule)
    assert {"/brand.css", "/robots.txt", "/sitemap.xml"} <= cached, cached


def test_pages_with_forms_let_the_browser_say_where_it_is(app: Flask, cast: Cast) -> None:
    """Over HTTPS a form counts only with its page's address; "no-referrer" would take that away."""
    for name in ("guest", "alice", "owner"):
        browser, asking = cast.browser(name), 0
        for route in open_routes(app):
            if "GET" in route.methods:
                answer = browser.get(route.address())
                if answer.mimetype == "text/html" and answer.status_code == 200:
                    posts = [form for form in Page(answer.text).forms if form.method == "POST"]
                    asking += bool(posts)
                    if posts:
                        assert answer.headers["Referrer-Policy"] != "no-referrer", route.rule
        assert asking > 3, name


@pytest.fixture
def secure(make_app: MakeApp) -> Flask:
    return make_app(base_url=HTTPS)


def test_over_https_browsers_are_told_to_stay_there(secure: Flask, stranger: Intruder) -> None:
    browser = Intruder(secure, secure.response_class)
    for path in ("/", "/login", "/account", "/no-such-page", "/static/css/app.css", "/health"):
        answer = browser.get(path, base_url=HTTPS)
        assert_guarded(answer, path)
        (policy,) = answer.headers.getlist("Strict-Transport-Security")
        assert "max-age=31536000" in policy and "includeSubDomains" in policy
    assert "Strict-Transport-Security" not in stranger.get("/").headers


def test_cookies_over_https_are_bound_to_the_host(secure: Flask, app: Flask) -> None:
    browser = Intruder(secure, secure.response_class)
    browser.get("/login", base_url=HTTPS)
    browser.get("/events/token", base_url=HTTPS)
    answers = [browser.get("/login", base_url=HTTPS), browser.get("/register", base_url=HTTPS)]
    fresh = Intruder(secure, secure.response_class)
    answers.append(fresh.get("/login", base_url=HTTPS))
    cookies = [line for answer in answers for line in answer.headers.getlist("Set-Cookie")]
    assert cookies
    for cookie in cookies:
        assert cookie.startswith("__Host-"), cookie
        for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert flag in cookie, cookie
        assert "Domain=" not in cookie, cookie


def test_cookies_in_development_keep_what_they_can(stranger: Intruder) -> None:
    cookies = stranger.get("/login").headers.getlist("Set-Cookie")
    assert cookies
    for cookie in cookies:
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_production_does_not_start_without_https() -> None:
    environ = {
        "APP_ENV": "production",
        "SECRET_KEY": "x" * 40,
        "BASE_URL": "http://shop.example",
        "STRIPE_SECRET_KEY": "sk_live_x",
        "STRIPE_WEBHOOK_SECRET": "whsec_x",
    }
    with pytest.raises(ConfigError, match="BASE_URL"):
        load_config(environ)
    assert load_config(environ | {"BASE_URL": "https://shop.example"}).app_env is Env.PRODUCTION
