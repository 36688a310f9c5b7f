"""The sandbox as an HTTP server on loopback, in a thread or as a process."""

import errno
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.stripe import pages
from sandbox.stripe.api import Api
from sandbox.stripe.billing import control as billing_control
from sandbox.stripe.control import Control
from sandbox.stripe.faults import error_of
from sandbox.stripe.hosted import Pages
from sandbox.stripe.machine import Exchange, Machine
from sandbox.stripe.messages import Request, Response
from sandbox.stripe.resources import webhook_endpoints

DEFAULT_KEY = "sk_test_sandbox"
assert billing_control, "importing it adds its control addresses"
assert pages.__all__, "importing the pages fills the table of pages"
MAX_BODY = 4 * 1024 * 1024
_REASONS = {200: "OK", 303: "See Other", 400: "Bad Request", 402: "Payment Required"}


class PortTaken(RuntimeError):
    """Another program listens on the port."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A restart must get its port back at once; a stranger's port must stay a stranger's.
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, port: int, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.lines: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong here; a client that hung up is nobody's error."""
        del request, client_address
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.lines.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.lines.discard(request)
        super().shutdown_request(request)

    def cut_lines(self) -> None:
        """End the connections that clients keep open, so that nobody talks to the dead."""
        for line in list(self.lines):
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """The sandbox speaks through its answers."""

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            return
        parts = urlsplit(self.path)
        request = Request(self.command, parts.path, parts.query, self.headers, body)
        try:
            response = self.server.answer(request)
        except Exception:
            # A mistake of the sandbox's own: said aloud here, a plain 500 to the caller.
            traceback.print_exc()
            response = Response.json(500, error_of(500).body(""))
        if response.cut:
            self.close_connection = True
            return
        self._write(response)

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self._write(Response.json(413, {"error": {"message": "The body is too large."}}))
            return None
        return self.rfile.read(int(length))

    def _write(self, response: Response) -> None:
        reason = _REASONS.get(response.status, "")
        lines = [
            f"HTTP/1.1 {response.status} {reason}",
            f"Date: {self.date_time_string()}",
            f"Content-Type: {response.content_type}",
            f"Content-Length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
        ]
        if self.close_connection:
            lines.append("Connection: close")
        body = b"" if self.command == "HEAD" else response.body
        self.wfile.write("\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body)
        self.wfile.flush()

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = _serve  # noqa: N815 (the base class's names)


class StripeSandbox:
    """A running sandbox: `.url`, `.key`, `.webhook_secret`; `.stop()` ends it."""

    def __init__(self, machine: Machine, server: _Server, key: str) -> None:
        self.machine = machine
        self.key = key
        self.webhook_secret: str | None = None
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        return self.machine.base_url

    @property
    def exchanges(self) -> list[Exchange]:
        """The API calls answered so far (the last 500)."""
        return list(self.machine.exchanges)

    def begin(self) -> None:
        self.machine.start()
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_lines()
        self.machine.stop()

    def wait_idle(self, timeout: float = 60.0) -> bool:
        """Wait until no webhook is in flight or due; whether that came true in time."""
        return self.machine.wait_idle(timeout)

    def __enter__(self) -> "StripeSandbox":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def _listen(port: int, answer: Callable[[Request], Response]) -> _Server:
    try:
        return _Server(port, answer)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"Port {port} is taken by another program.") from error
        raise


def start(
    state_dir: str | Path,
    port: int = 0,
    key: str = DEFAULT_KEY,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    *,
    on_exchange: Callable[[Exchange], None] | None = None,
    retry_base: float = 1.0,
    async_after: int | None = None,
) -> StripeSandbox:
    """Start a sandbox in a thread; port 0 takes a free one.

    `on_exchange` is called with every API call after it was answered. `retry_base` is the pause in
    seconds before a failed webhook's second attempt. After `async_after` seconds bank debits and
    slow refunds settle by themselves; None leaves that to the control address. Raises PortTaken or
    StateInUse.
    """
    machine = Machine(
        Path(state_dir), retry_base=retry_base, async_after=async_after, on_exchange=on_exchange
    )
    api, site, control = Api(machine), Pages(machine), Control(machine)

    def answer(request: Request) -> Response:
        if request.path.startswith("/v1/"):
            return api.answer(request)
        if request.path.startswith("/_sandbox/"):
            return control.answer(request)
        return site.answer(request)

    try:
        server = _listen(port, answer)
    except BaseException:
        machine.stop()
        raise
    machine.listen_at(f"http://127.0.0.1:{server.server_address[1]}")
    sandbox = StripeSandbox(machine, server, key)
    account = machine.ensure_key(key)
    if webhook_url:
        endpoint = machine.ensure_endpoint(account, webhook_url, webhook_secret)
        sandbox.webhook_secret = webhook_endpoints.current_secret(endpoint)
    sandbox.begin()
    return sandbox
