"""The ceilings: nothing but a connection and the same bytes again and again.

`python -m bench.mail.raw pipelined|smtplib --port N --count N --message FILE` prints the seconds.
"""

import argparse
import re
import smtplib
import socket
import time
from pathlib import Path

from sandbox.ports import HOST

SENDER = "news@bench.example"
RECIPIENT = "reader@shop.example"
ENVELOPE = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode()


def pipelined(port: int, count: int, message: bytes) -> None:
    """RFC 2920 with the end of a message and the next envelope in one write."""
    body = re.sub(rb"(?m)^\.", b"..", message) + b".\r\n"
    with socket.create_connection((HOST, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = sock.makefile("rb")
        replies.readline()
        sock.sendall(b"EHLO bench.example\r\n")
        while replies.readline()[3:4] == b"-":
            pass
        sock.sendall(ENVELOPE)
        for number in range(count):
            for _ in range(3):
                replies.readline()
            last = number == count - 1
            sock.sendall(body if last else body + ENVELOPE)
            assert replies.readline().startswith(b"250")


def with_smtplib(port: int, count: int, message: bytes) -> None:
    """What most programs do: the standard library, one connection."""
    with smtplib.SMTP(HOST, port, "bench.example") as smtp:
        for _ in range(count):
            smtp.sendmail(SENDER, [RECIPIENT], message)


WAYS = {"pipelined": pipelined, "smtplib": with_smtplib}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mail.raw", description=__doc__)
    parser.add_argument("way", choices=sorted(WAYS))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--message", type=Path, required=True)
    options = parser.parse_args()
    message = options.message.read_bytes()
    began = time.perf_counter()
    WAYS[options.way](options.port, options.count, message)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
