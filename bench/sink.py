"""A mail server that takes everything and keeps nothing, so that it isn't what a bench measures.

`python -m bench.sink --port N`. It knows of SMTP (RFC 5321) what a well-behaved client uses. With
`--record FILE` it adds a line for each message it takes, "recipient<TAB>Message-ID", before it says
so: what stands there was delivered, whatever became of the client.
"""

import argparse
import asyncio
import os
import re
from functools import partial
from pathlib import Path

from sandbox.ports import HOST

ANSWERS = {
    b"EHLO": b"250-bench.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    b"HELO": b"250 bench.example\r\n",
    b"DATA": b"354 go ahead\r\n",
    b"QUIT": b"221 bye\r\n",
}
END = b"\r\n.\r\n"
MESSAGE_ID = re.compile(rb"^Message-ID:\s*(\S+)", re.MULTILINE | re.IGNORECASE)


class Sink(asyncio.Protocol):
    """One connection; what it takes is written to ``record``, a file's descriptor."""

    def __init__(self, record: int | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting = b""
        self.in_message = False
        self.record = record
        self.recipient = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 bench.example\r\n")

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while self._take_message() if self.in_message else self._take_command():
            pass

    def _take_message(self) -> bool:
        end = self.waiting.find(END)
        if end < 0:
            if self.record is None:
                # Of a message only its possible end matters.
                self.waiting = self.waiting[-len(END) :]
            return False
        if self.record is not None:
            self._write_down(self.record, self.waiting[:end])
        self.waiting = self.waiting[end + len(END) :]
        self.in_message = False
        self._say(b"250 taken\r\n")
        return True

    def _write_down(self, record: int, message: bytes) -> None:
        found = MESSAGE_ID.search(message)
        os.write(record, b"%s\t%s\n" % (self.recipient, found[1] if found else b"-"))

    def _take_command(self) -> bool:
        line, end, rest = self.waiting.partition(b"\r\n")
        if not end:
            return False
        self.waiting = rest
        verb = line[:4].upper()
        if verb == b"RCPT":
            self.recipient = line[line.find(b"<") + 1 : line.rfind(b">")]
        self._say(ANSWERS.get(verb, b"250 ok\r\n"))
        if verb == b"DATA":
            # An empty message is the end alone, without a line before it.
            self.waiting = b"\r\n" + self.waiting
            self.in_message = True
        if verb == b"QUIT" and self.transport:
            self.transport.close()
        return True

    def _say(self, answer: bytes) -> None:
        if self.transport:
            self.transport.write(answer)


async def serve(port: int, record: int | None) -> None:
    server = await asyncio.get_running_loop().create_server(partial(Sink, record), HOST, port)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sink", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--record", type=Path, metavar="FILE")
    options = parser.parse_args()
    record = None
    if options.record:
        record = os.open(options.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(serve(options.port, record))


if __name__ == "__main__":
    main()
