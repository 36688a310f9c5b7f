"""The bench's mail server speaks enough SMTP for a client that pipelines and one that doesn't."""

import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sandbox.ports import answers, free_port, wait_until
from sandbox.processes import ROOT


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "bench.sink", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        assert wait_until(lambda: answers(port), 60)
        yield port
        process.terminate()


def test_it_takes_mail_after_mail_on_one_connection(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        for number in range(3):
            text = f"Subject: {number}\r\n\r\n.\r\n..a line\r\n"
            assert client.sendmail("a@example.com", ["b@example.com"], text) == {}


def test_it_takes_a_pipelined_mail_in_small_pieces(port: int) -> None:
    words = b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        for byte in words + b"Subject: x\r\n\r\nHello\r\n.\r\nQUIT\r\n":
            line.sendall(bytes([byte]))
        said = b""
        while chunk := line.recv(4096):
            said += chunk
    codes = [part[:4] for part in said.splitlines()]
    assert codes[-5:] == [b"250 ", b"250 ", b"354 ", b"250 ", b"221 "]


def test_an_empty_mail_ends_too(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.mail("a@example.com")
        client.rcpt("b@example.com")
        assert client.docmd("DATA")[0] == 354
        assert client.docmd(".")[0] == 250
