"""Links and pictures are fetched to see that they are there, and nothing else is."""

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from flask import Flask

from jobs.campaigns import check_links
from tests.campaigns.writing.drafts import draft
from tests.listening import RoomyServer
from webapp.campaigns.services.checking import Level, ask_to_check_links, check
from webapp.campaigns.services.checking.remote import Address, look
from webapp.core.db import db
from webapp.core.state import bind


class _Site(BaseHTTPRequestHandler):
    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        status, head = PAGES.get(path, (404, {}))
        if path == "/no-head" and self.command == "HEAD":
            status = 405
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value.replace("HOME", f"127.0.0.1:{self.server.server_port}"))  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


PAGES: dict[str, tuple[int, dict[str, str]]] = {
    "/": (200, {}),
    "/there": (200, {}),
    "/no-head": (200, {}),
    "/broken": (500, {}),
    "/moved": (302, {"Location": "/there"}),
    "/loop": (302, {"Location": "/loop"}),
    "/inside": (302, {"Location": "http://169.254.169.254/latest/meta-data/"}),
    "/port": (302, {"Location": "http://127.0.0.1:1/"}),
    "/file": (302, {"Location": "file:///etc/passwd"}),
    "/small.png": (200, {"Content-Type": "image/png", "Content-Length": "100"}),
    "/big.png": (200, {"Content-Type": "image/png", "Content-Length": "3000000"}),
    "/page.png": (200, {"Content-Type": "text/html", "Content-Length": "10"}),
}


@pytest.fixture
def site() -> Iterator[RoomyServer]:
    handler = type("Site", (_Site,), {"asked": []})
    server = RoomyServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_shops_own_pages_are_looked_at(site: RoomyServer) -> None:
    port = site.server_port

    def told(path: str, *, picture: bool = False) -> str:
        address = Address(f"http://127.0.0.1:{port}{path}", picture)
        trouble = look(address, ("127.0.0.1", port))
        return f"{trouble.level.value}: {trouble.why}" if trouble else ""

    assert [told(path) for path in ("/there", "/moved", "/no-head?x=1")] == ["", "", ""]
    assert told("/gone").startswith("error: doesn't work: its server answers 404")
    assert told("/broken").startswith("warning: doesn't work: its server answers 500")
    assert "more than 5 times" in told("/loop")
    for path in ("/inside", "/port"):
        assert "error: doesn't work: its server is not on the public internet" in told(path)
    assert "no web page" in told("/file")
    assert told("/small.png", picture=True) == ""
    assert "3,000 KB" in told("/big.png", picture=True)
    assert "no picture" in told("/page.png", picture=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/there",
        "http://localhost:{port}/there",
        "http://[::1]:{port}/",
        "http://0.0.0.0:{port}/",
        "http://2130706433:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://x@127.0.0.1:{port}/",
    ],
)
def test_nobodys_mail_looks_into_our_own_network(site: RoomyServer, url: str) -> None:
    address = Address(url.format(port=site.server_port), False)
    trouble = look(address, ("northwind.example", 443))
    assert trouble is not None
    if "[::1]" not in url:  # not every machine has it
        assert trouble.level is Level.ERROR
    assert site.RequestHandlerClass.asked == []  # type: ignore[attr-defined]


def test_a_name_with_one_address_inside_is_not_asked(
    site: RoomyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (ip, 80)) for ip in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    trouble = look(Address(f"http://two.example:{site.server_port}/", False), ("x.example", 443))
    assert trouble is not None and "public internet" in trouble.why


def test_checks_know_what_a_job_has_seen(
    app: Flask, site: RoomyServer, run_jobs: Callable[[], int]
) -> None:
    config, fork = app.extensions["startupwebapp"]
    base = f"http://127.0.0.1:{site.server_port}"
    bind(app, config.model_copy(update={"base_url": base}), fork)
    try:
        email = draft("[a](/gone) [b](/there) ![c](/big.png) and words enough to be a mail")
        db.session.commit()
        assert "links_unchecked" in {each.code for each in check(email)}
        ask_to_check_links(email.id)
        db.session.commit()
        assert run_jobs() == 1
        found = {each.code: each for each in check(email)}
        assert found["link_remote"].level is Level.ERROR
        assert found["link_remote"].sentence.startswith(f"The link to {base}/gone doesn't work")
        assert found["picture_remote"].level is Level.WARNING
        assert "links_unchecked" not in found
        asked = site.RequestHandlerClass.asked  # type: ignore[attr-defined]
        assert any("utm_source" in each for each in asked)
        check_links(email.id)
        # One that its author threw away meanwhile.
        check_links(email.id + 1)
    finally:
        bind(app, config, fork)
