"""A mail server that fails on cue: at any step, with any reply, or by hanging up."""

import contextlib
import socket
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field

HANG_UP = "hang up"
TAKE_AND_HANG_UP = "take it, then hang up"
STALL = "say nothing"
DEFAULTS = {
    "CONNECT": "220 sink",
    "EHLO": "250 sink",
    "HELO": "250 sink",
    "MAIL": "250 OK",
    "RCPT": "250 OK",
    "DATA": "354 go on",
    "END": "250 2.0.0 taken",
    "RSET": "250 OK",
    "NOOP": "250 OK",
    "AUTH": "235 welcome",
    "STARTTLS": "220 go on",
    "QUIT": "221 bye",
}


class Gone(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Caught:
    sender: str
    recipient: str
    content: bytes


@dataclass(slots=True)
class Dialogue:
    """One connection's state."""

    sock: socket.socket
    buffer: bytes = b""
    sender: str = ""
    recipient: str = ""

    def read_line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise Gone
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def say(self, reply: str) -> None:
        self.sock.sendall(reply.encode() + b"\r\n")

    def read_message(self) -> bytes:
        lines = []
        while (line := self.read_line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"\r\n".join(lines) + b"\r\n"


@dataclass(slots=True)
class Sink:
    """Listens on loopback until stopped; ``cue`` says what it answers next at a step."""

    extensions: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    tls_from_start: bool = False
    # Asks for the data even of a message that has no recipient, as some servers do.
    lenient: bool = False
    messages: list[Caught] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    _cues: dict[str, deque[str]] = field(default_factory=dict)
    _open: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def cue(self, step: str, *replies: str) -> None:
        self._cues[step] = deque(replies)

    def start(self) -> "Sink":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Drop every connection, as a restart of the server would.

        Its own thread closes it: OpenSSL would go on with the number of a descriptor that is
        somebody else's by then.
        """
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        talk = Dialogue(sock)
        with contextlib.suppress(OSError, Gone):
            if self.tls and self.tls_from_start:
                talk.sock = self.tls.wrap_socket(sock, server_side=True)
            self._open.append(talk.sock)
            self._converse(talk)
        with contextlib.suppress(OSError):
            talk.sock.close()

    def _converse(self, talk: Dialogue) -> None:
        talk.say(self._next("CONNECT"))
        while True:
            line = talk.read_line().decode()
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            with self._lock:
                self.commands.append(f"{verb} {rest}".rstrip())
            reply = self._next(verb)
            if verb == "DATA" and not talk.recipient and not self.lenient:
                reply = "554 5.5.1 no valid recipients"
            if verb == "EHLO" and self.extensions:
                reply = "\r\n".join(["250-sink", *(f"250-{e}" for e in self.extensions), "250 OK"])
            talk.say(reply)
            if verb == "STARTTLS" and self.tls:
                talk.sock = self.tls.wrap_socket(talk.sock, server_side=True)
                self._open.append(talk.sock)
            self._note(talk, verb, line, reply)

    def _note(self, talk: Dialogue, verb: str, line: str, reply: str) -> None:
        if verb == "QUIT":
            raise Gone
        if verb == "MAIL":
            talk.sender = _address(line)
            talk.recipient = ""
        elif verb == "RCPT" and reply.startswith("2"):
            talk.recipient = _address(line)
        elif verb == "DATA" and reply.startswith("354"):
            self._take(talk)

    def _take(self, talk: Dialogue) -> None:
        if self._cues.get("BODY"):
            self._next("BODY")
        content = talk.read_message()
        cue = self._cues.get("END")
        reply = cue.popleft() if cue else DEFAULTS["END"]
        if reply == HANG_UP:
            raise Gone
        if reply == TAKE_AND_HANG_UP or reply.startswith("2"):
            with self._lock:
                self.messages.append(Caught(talk.sender, talk.recipient, content))
        if reply == TAKE_AND_HANG_UP:
            raise Gone
        talk.say(reply)

    def _next(self, step: str) -> str:
        cue = self._cues.get(step)
        reply = cue.popleft() if cue else DEFAULTS.get(step, "500 what?")
        if reply == HANG_UP:
            raise Gone
        if reply == STALL:
            threading.Event().wait(5)
            raise Gone
        return reply


def _address(line: str) -> str:
    return line[line.index("<") + 1 : line.index(">")]
