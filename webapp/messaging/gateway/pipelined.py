"""Many messages over one connection, each with one round trip (RFC 2920).

The end of one message travels together with the envelope of the next; the replies come in the
order of the commands, so each belongs to its recipient. At any moment at most one message is
between its end and its reply: only that one can be in doubt.
"""

import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from webapp.messaging.gateway.envelope import Envelope, Gateway, Handover, Outcome
from webapp.messaging.gateway.lines import (
    BROKEN,
    COMMAND_SECONDS,
    END,
    END_SECONDS,
    Answered,
    Line,
    Unusable,
    tell,
)
from webapp.messaging.gateway.servers import Server

# Servers end a session that carries too many; a new one costs less than their patience.
MAILS_A_LINE = 1000
CHUNK = 65536
MAX_REPLY_BYTES = 16384
_LINE_DOT = re.compile(rb"(?m)^\.")
# The first digits of the replies to MAIL, RCPT and DATA that let a message follow.
WISHES = (2, 2, 3)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the parcel at ``index``.

    ``away``: there was no session to be had in which to name its recipient.
    """

    index: int
    handover: Handover
    away: bool = False


class Journal(Protocol):
    """Remembers, beyond this process's death, which message was about to be ended."""

    def begin(self, index: int) -> None:
        """The message's end is about to be sent: from now on it may have been accepted."""


class BulkGateway(Protocol):
    def send(
        self, parcels: Iterable[Envelope], journal: Journal, go_on: Callable[[], bool]
    ) -> Iterator[Result]:
        """Hand the parcels over in turn; ends early, without a word on the rest, when not going on.

        ``go_on`` is asked before each message; False ends after the one before it. A server that
        can't be reached, or hangs up on the first envelope of a session, ends it with the parcel
        it was needed for ``deferred``.
        """

    def close(self) -> None:
        """Say goodbye to the server."""


class OneByOne:
    """Makes a door for single mails take many: for the folder, and for nowhere."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def send(
        self, parcels: Iterable[Envelope], journal: Journal, go_on: Callable[[], bool]
    ) -> Iterator[Result]:
        for index, parcel in enumerate(parcels):
            if not go_on():
                return

            def before_end(index: int = index) -> bool:
                journal.begin(index)
                return True

            handover = self.gateway.hand_over(parcel, before_end)
            yield Result(index, handover, handover.outcome is Outcome.DEFERRED)

    def close(self) -> None:
        """Nothing is open."""


class Lost(Exception):
    """The connection can't be used any more; ``reply`` says why."""

    def __init__(self, reply: str) -> None:
        self.reply = reply


@dataclass(slots=True)
class _Wire:
    """A connection, its replies, and what has been asked and not yet answered."""

    line: Line
    waiting: bytes = b""
    mails: int = 0
    pipelining: bool = field(init=False)
    sock: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.pipelining = self.line.smtp.has_extn("pipelining")
        if self.line.smtp.sock is None:
            raise Lost("The mail server closed the connection.")
        self.sock = self.line.smtp.sock

    def write(self, data: bytes, seconds: int) -> None:
        try:
            self.sock.settimeout(seconds)
            self.sock.sendall(data)
        except OSError as error:
            raise Lost(tell(error)) from None

    def read(self) -> Answered:
        """Return the next reply, of one line or several (RFC 5321, 4.2.1)."""
        lines: list[bytes] = []
        while True:
            line = self._read_line()
            lines.append(line[4:])
            if len(line) < 3 or not line[:3].isdigit():
                raise Lost("The mail server's answer made no sense.")
            if line[3:4] != b"-":
                return Answered(int(line[:3]), b"\n".join(lines))
            if sum(map(len, lines)) > MAX_REPLY_BYTES:
                raise Lost("The mail server's answer had no end.")

    def _read_line(self) -> bytes:
        while True:
            line, end, rest = self.waiting.partition(b"\r\n")
            if end:
                self.waiting = rest
                return line
            if len(self.waiting) > MAX_REPLY_BYTES:
                raise Lost("The mail server's answer had no end.")
            try:
                more = self.sock.recv(CHUNK)
            except OSError as error:
                raise Lost(tell(error)) from None
            if not more:
                raise Lost("The mail server closed the connection.")
            self.waiting += more

    def is_fresh(self) -> bool:
        return self.mails < MAILS_A_LINE and not self.waiting and self.line.is_fresh()

    def may_go_ahead(self, following: Envelope | None) -> bool:
        """Whether the next envelope may travel with the end of this message."""
        if following is None or not self.pipelining or self.mails + 1 >= MAILS_A_LINE:
            return False
        return _is_plain(following)

    def address(self, parcel: Envelope) -> Answered | None:
        """Send the envelope; return the first no to it, None if the server waits for the data."""
        if self.pipelining:
            self.write(_commands(parcel), COMMAND_SECONDS)
            return self.read_envelope()
        for command, wish in zip(_commands(parcel).splitlines(True), WISHES, strict=True):
            self.write(command, COMMAND_SECONDS)
            answer = self.read()
            if answer.code // 100 != wish:
                return answer
        return None

    def read_envelope(self) -> Answered | None:
        """Read the replies to MAIL, RCPT and DATA, all of them; return the first no."""
        answers = [self.read() for _ in WISHES]
        refused = [a for a, wish in zip(answers, WISHES, strict=True) if a.code // 100 != wish]
        if refused and answers[-1].code == 354:
            # RFC 2920, 3.1: such a server waits for a message that has no recipient.
            self.write(END, COMMAND_SECONDS)
            self.read()
        return refused[0] if refused else None

    def reset(self) -> None:
        """Have the server forget the begun message. Raises Lost."""
        self.write(b"RSET\r\n", COMMAND_SECONDS)
        answer = self.read()
        if answer.code // 100 != 2:
            raise Lost(answer.reply)


class PipelinedGateway:
    """One server, one connection that is kept for the next parcels."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._wire: _Wire | None = None
        # Whether a session is not to be had, and whether it is no use to go on.
        self._away = self._over = False

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.line.quit()

    def send(
        self, parcels: Iterable[Envelope], journal: Journal, go_on: Callable[[], bool]
    ) -> Iterator[Result]:
        try:
            yield from self._converse(iter(parcels), journal, go_on)
        except BaseException:
            # Without its end the server throws away what it has of a message.
            self._drop()
            raise

    def _converse(
        self, parcels: Iterator[Envelope], journal: Journal, go_on: Callable[[], bool]
    ) -> Iterator[Result]:
        self._away = self._over = False
        index, current = 0, self._next(parcels, go_on)
        refused = self._address(current)
        while current is not None:
            following = self._next(parcels, go_on)
            if refused is None and self._wire is not None:
                journal.begin(index)
                handover, refused = self._exchange(self._wire, current, following)
                yield Result(index, handover)
            else:
                yield Result(index, refused or Handover(Outcome.DEFERRED), self._away)
                if self._over:
                    return
                refused = self._address(following)
            index, current = index + 1, following

    @staticmethod
    def _next(parcels: Iterator[Envelope], go_on: Callable[[], bool]) -> Envelope | None:
        return next(parcels, None) if go_on() else None

    def _exchange(
        self, wire: _Wire, current: Envelope, following: Envelope | None
    ) -> tuple[Handover, Handover | None]:
        """End ``current`` and address ``following``; return the fate of both (None: addressed)."""
        ahead = following if wire.may_go_ahead(following) else None
        try:
            wire.write(_ended(current.content) + _commands(ahead), END_SECONDS)
            answer = wire.read()
        except Lost as lost:
            self._drop()
            return Handover(Outcome.IN_DOUBT, lost.reply), self._address(following)
        wire.mails += 1
        if answer.code == 421 or answer.code // 100 not in (2, 4, 5):
            self._drop()
        elif ahead is not None:
            with suppress(Lost):
                return _judge_end(answer), self._envelope_fate(wire, wire.read_envelope())
            self._drop()
        return _judge_end(answer), self._address(following)

    def _address(self, parcel: Envelope | None) -> Handover | None:
        """Have the server wait for the parcel's data; None if it does, or there is no parcel.

        A connection that was used may have been given up by the server: then a new one is tried.
        """
        if parcel is None:
            return None
        if self._wire is not None and not self._wire.is_fresh():
            self.close()
        if self._wire is not None:
            with suppress(Lost):
                return self._address_on(self._wire, parcel)
            self._drop()
        try:
            self._wire = _Wire(Line(self.server))
        except (*BROKEN, Lost, Unusable) as error:
            self._away = self._over = True
            return Handover(Outcome.DEFERRED, tell(error))
        try:
            return self._address_on(self._wire, parcel)
        except Lost as lost:
            self._drop()
            self._over = True
            return Handover(Outcome.DEFERRED, lost.reply)

    def _address_on(self, wire: _Wire, parcel: Envelope) -> Handover | None:
        wire.line.touch()
        if not _is_plain(parcel) and not wire.line.smtp.has_extn("smtputf8"):
            return Handover(
                Outcome.REFUSED, "553 5.6.7 The mail server takes no international addresses"
            )
        return self._envelope_fate(wire, wire.address(parcel))

    def _envelope_fate(self, wire: _Wire, no: Answered | None) -> Handover | None:
        """Return what a no to the envelope means, with the server ready for the next.

        Raises Lost when the server ends the session with it.
        """
        if no is None:
            return None
        if no.code == 421:
            raise Lost(no.reply)
        try:
            wire.reset()
        except Lost:
            self._drop()
        outcome = Outcome.REFUSED if no.code // 100 == 5 else Outcome.DEFERRED
        return Handover(outcome, no.reply)

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            with suppress(OSError):
                wire.line.smtp.close()


def _judge_end(answer: Answered) -> Handover:
    match answer.code // 100:
        case 2:
            return Handover(Outcome.ACCEPTED, answer.reply)
        case 4:
            return Handover(Outcome.DEFERRED, answer.reply)
        case 5:
            return Handover(Outcome.REFUSED, answer.reply)
    return Handover(Outcome.IN_DOUBT, answer.reply)


def _is_plain(parcel: Envelope) -> bool:
    return parcel.sender.isascii() and parcel.recipient.isascii()


def _ended(content: bytes) -> bytes:
    """The message with dots doubled (RFC 5321, 4.5.2) and its end."""
    if content.startswith(b".") or b"\n." in content:
        content = _LINE_DOT.sub(b"..", content)
    return content + (END if content.endswith(b"\r\n") else b"\r\n" + END)


def _commands(parcel: Envelope | None) -> bytes:
    if parcel is None:
        return b""
    options = b"" if _is_plain(parcel) else b" SMTPUTF8 BODY=8BITMIME"
    return b"MAIL FROM:<%s>%s\r\nRCPT TO:<%s>\r\nDATA\r\n" % (
        parcel.sender.encode(),
        options,
        parcel.recipient.encode(),
    )
