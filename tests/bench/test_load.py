"""Both load generators count the same answers, send prepared requests once, and tell failures."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest

from bench import load
from sandbox.processes import SandboxError


class Shop(ThreadingHTTPServer):
    """Answers everything and remembers the bodies it was sent."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.bodies: list[bytes] = []
        self.paths: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """wrk hangs up on what it waits for when its time is over."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        shop = cast(Shop, self.server)
        shop.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        shop.paths.append(self.path)
        body = b"Hello, world!"
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=["wrk", "our own"])
def generator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(request.param)
    if name == "our own":
        monkeypatch.setattr(load, "_wrk", lambda: None)
    elif not load._wrk():
        pytest.skip("wrk isn't installed")
    return name


def prepare(folder: Path, shop: Shop, count: int) -> Path:
    target = folder / "requests"
    posts = [("/hook?a=1", {"X-Kind": "test"}, f"body {n} é".encode()) for n in range(count)]
    load.write_requests(target, shop.url, posts)
    return target


def test_it_asks_for_one_address(generator: str, shop: Shop) -> None:
    seen = load.press(f"{shop.url}/products?page=2", 1, 2)
    assert seen.requests > 0
    assert 0 < seen.p50 <= seen.p95 <= seen.p99
    assert set(shop.paths) == {"/products?page=2"}


def test_an_error_page_is_no_measurement(generator: str, shop: Shop) -> None:
    with pytest.raises(SandboxError, match="failed"):
        load.press(f"{shop.url}/broken", 1, 2)


def test_prepared_requests_arrive_whole(generator: str, shop: Shop, tmp_path: Path) -> None:
    requests = prepare(tmp_path, shop, 20_000)
    load.replay(shop.url, requests, 1, 2)
    assert shop.bodies
    assert len(set(shop.bodies)) == len(shop.bodies)
    assert all(body.decode() == f"body {body.split()[1].decode()} é" for body in shop.bodies)


def test_all_of_them_are_sent_once(shop: Shop, tmp_path: Path) -> None:
    seen = load.send_all(shop.url, prepare(tmp_path, shop, 50), 20, 4)
    assert seen.requests == 50
    assert sorted(shop.bodies) == sorted(f"body {n} é".encode() for n in range(50))
