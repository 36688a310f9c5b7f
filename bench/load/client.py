"""A load generator for machines without wrk, a script of its own so that it imports little.

`python client.py URL CONNECTIONS SECONDS [REQUESTS]`: asks for URL over and over, or sends each
prepared request of the file once. Prints one line of JSON in press.lua's format.
"""

import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from urllib.parse import urlsplit


class Line:
    """One visitor after the other: connect, ask, read the answer, hang up."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.sock: socket.socket | None = None
        self.answer = b""
        self.began = 0.0

    def send(self, request: bytes) -> socket.socket:
        self.sock = socket.create_connection(self.address, timeout=20)
        self.answer = b""
        self.began = time.perf_counter()
        self.sock.sendall(request)
        return self.sock

    def read(self) -> bool:
        """Whether the answer is whole. Raises OSError when the server hung up before."""
        assert self.sock
        chunk = self.sock.recv(262_144)
        self.answer += chunk
        if _is_whole(self.answer):
            return True
        if not chunk:
            raise ConnectionResetError("an answer broke off")
        return False

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, rest = head.lower().partition(b"content-length:")
    if found:
        return len(body) >= int(rest.split(b"\r\n", 1)[0])
    return body.endswith(b"0\r\n\r\n")


def run(
    address: tuple[str, int], requests: Iterator[bytes], connections: int, seconds: float
) -> dict[str, object]:
    """Keep ``connections`` requests in flight until the time or the requests are over."""
    took: list[float] = []
    failed = 0
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    until = began + seconds

    def start(line: Line) -> None:
        request = next(requests, None) if time.perf_counter() < until else None
        if request is not None:
            selector.register(line.send(request), selectors.EVENT_READ, line)

    for _ in range(connections):
        start(Line(address))
    while selector.get_map():
        for key, _ in selector.select():
            line: Line = key.data
            try:
                if not line.read():
                    continue
            except OSError:
                failed += 1
            else:
                took.append(time.perf_counter() - line.began)
                failed += not line.answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3"))
            selector.unregister(key.fileobj)
            line.close()
            start(line)
    spent = time.perf_counter() - began
    return summary(took, spent, failed)


def summary(took: list[float], spent: float, failed: int) -> dict[str, object]:
    took.sort()

    def percentile(part: float) -> float:
        return round(took[min(int(len(took) * part), len(took) - 1)] * 1000, 3) if took else 0

    return {
        "requests": len(took),
        "seconds": round(spent, 6),
        "p50": percentile(0.5),
        "p95": percentile(0.95),
        "p99": percentile(0.99),
        "failed": failed,
        "errors": {},
    }


def read_requests(path: Path) -> list[bytes]:
    data = path.read_bytes()
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def main() -> None:
    parts = urlsplit(sys.argv[1])
    connections, seconds = int(sys.argv[2]), float(sys.argv[3])
    if len(sys.argv) > 4:
        requests = iter(read_requests(Path(sys.argv[4])))
    else:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        requests = repeat(request.encode())
    address = parts.hostname or "127.0.0.1", parts.port or 80
    print(json.dumps(run(address, requests, connections, seconds)))


if __name__ == "__main__":
    main()
