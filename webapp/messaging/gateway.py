"""The only door to the mail server: hands one message over and says exactly what is known of it.

RFC 5321, 4.2.5: a server takes responsibility by answering the end of the data (``CRLF.CRLF``).
So everything but that end is sent first, then the caller commits that it is about to be sent, and
only then it goes out. Whatever breaks before is known not to be accepted.
"""

import atexit
import os
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from webapp.core.state import current_config
from webapp.messaging.errors import InvalidSmtpUrl

CONNECT_SECONDS = 10
COMMAND_SECONDS = 30
# The server may scan the whole message before it answers; RFC 5321 (4.5.3.2.6) grants it more.
END_SECONDS = 60
IDLE_SECONDS = 5
MAX_AGE_SECONDS = 240
MAX_MAILS = 100
END = b".\r\n"
MAX_REPLY = 1000


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one address; ``code`` is unique and safe in a file name."""

    code: str
    sender: str
    recipient: str
    content: bytes = field(repr=False)


class Outcome(StrEnum):
    """``deferred``: surely not accepted, worth another try. ``refused``: surely never accepted.

    ``in_doubt``: perhaps accepted. ``withdrawn``: the caller called it off before the end.
    """

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Handover:
    """What became of one try. ``reply`` is the server's, and may repeat the address."""

    outcome: Outcome
    reply: str = ""

    @property
    def status(self) -> str:
        """The reply's code alone, for logs: it holds nothing personal."""
        code = re.match(r"\d{3}(?!\d)", self.reply)
        return code.group() if code else "no answer"


class Gateway(Protocol):
    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        """Try once. ``before_end`` is called when all but the end is sent; False calls it off."""


def current_gateway() -> Gateway:
    """Return this process's gateway to the server that SMTP_URL names; it keeps its connection."""
    return open_gateway(current_config().smtp_url)


@lru_cache(maxsize=8)
def open_gateway(url: str) -> Gateway:
    """Return the gateway for ``url``; nothing is connected yet. Raises InvalidSmtpUrl."""
    parts = urlsplit(url)
    if parts.scheme == "null":
        return NullGateway()
    if parts.scheme == "file" and parts.path:
        return FileGateway(Path(unquote(parts.path)))
    return SmtpGateway(_read_server(parts))


class NullGateway:
    """Takes every mail and keeps none: for load tests of what comes before."""

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        if not before_end():
            return Handover(Outcome.WITHDRAWN)
        return Handover(Outcome.ACCEPTED, f"250 {envelope.code} discarded")


class FileGateway:
    """Writes each mail as ``<code>.eml``; a file is whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        target = self.folder / f"{envelope.code}.eml"
        draft = target.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(envelope.content)
        except OSError as error:
            return Handover(Outcome.DEFERRED, str(error.strerror))
        if not before_end():
            draft.unlink(missing_ok=True)
            return Handover(Outcome.WITHDRAWN)
        try:
            draft.replace(target)
        except OSError as error:
            return Handover(Outcome.IN_DOUBT, str(error.strerror))
        return Handover(Outcome.ACCEPTED, f"250 kept as {target.name}")


class Security(StrEnum):
    """How the connection is encrypted; ``offered``: by STARTTLS where the server has it."""

    OFFERED = "smtp"
    REQUIRED = "smtp+starttls"
    FROM_START = "smtps"


PORTS = {Security.OFFERED: 25, Security.REQUIRED: 587, Security.FROM_START: 465}


@dataclass(frozen=True, slots=True)
class Server:
    security: Security
    host: str
    port: int
    user: str
    password: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        if self.host == "localhost":
            return True
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return False

    @property
    def context(self) -> ssl.SSLContext:
        """Certificates are checked, except where plain text would do as well (RFC 7435)."""
        context = ssl.create_default_context()
        if self.security is Security.OFFERED and (self.is_local or not self.user):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _read_server(parts: SplitResult) -> Server:
    try:
        security = Security(parts.scheme)
        port = parts.port or PORTS[security]
    except ValueError:
        raise InvalidSmtpUrl from None
    if not parts.hostname:
        raise InvalidSmtpUrl
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(security, parts.hostname, port, user, password)


class _Answered(Exception):
    """The server's reply was another than the one wished for."""

    def __init__(self, code: int, text: bytes) -> None:
        self.code = code
        self.reply = _readable(code, text)


class _Unusable(Exception):
    """The server can't be used in the way SMTP_URL demands."""


def _readable(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {words}"[:MAX_REPLY].replace("\x00", "")


class _Line:
    """An open connection, and the ``docmd`` that insists on the reply it wishes for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pid = os.getpid()
        self.opened = self.used = time.monotonic()
        self.mails = 0
        self.smtp = self._connect()
        try:
            self._introduce()
        except BaseException:
            self.smtp.close()
            raise

    def _connect(self) -> smtplib.SMTP:
        host, port = self.server.host, self.server.port
        if self.server.security is Security.FROM_START:
            return smtplib.SMTP_SSL(
                host, port, _own_name(), timeout=CONNECT_SECONDS, context=self.server.context
            )
        return smtplib.SMTP(host, port, _own_name(), timeout=CONNECT_SECONDS)

    def _introduce(self) -> None:
        smtp, server = self.smtp, self.server
        sock = self._sock()
        sock.settimeout(COMMAND_SECONDS)
        # The message and its end are two writes; Nagle's wait for an ACK would cost 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        smtp.ehlo_or_helo_if_needed()
        encrypted = server.security is Security.FROM_START
        if not encrypted and smtp.has_extn("starttls"):
            smtp.starttls(context=server.context)
            smtp.ehlo_or_helo_if_needed()
            encrypted = True
        if server.security is Security.REQUIRED and not encrypted:
            raise _Unusable("The mail server offers no STARTTLS, which SMTP_URL demands.")
        if server.user:
            if not encrypted and not server.is_local:
                raise _Unusable("The password is not sent: the connection is not encrypted.")
            smtp.login(server.user, server.password)

    def _sock(self) -> socket.socket:
        if self.smtp.sock is None:
            raise smtplib.SMTPServerDisconnected("no connection")
        return self.smtp.sock

    def is_fresh(self) -> bool:
        """Whether it may serve another mail; asks the server only after a pause."""
        now = time.monotonic()
        if self.pid != os.getpid() or self.mails >= MAX_MAILS:
            return False
        if now - self.opened > MAX_AGE_SECONDS:
            return False
        if now - self.used < IDLE_SECONDS:
            return True
        with suppress(OSError, smtplib.SMTPException):
            return self.smtp.noop()[0] == 250
        return False

    def address(self, envelope: Envelope) -> None:
        """MAIL FROM, RCPT TO, DATA. Raises _Answered at the first reply that isn't a yes."""
        options = []
        if not (envelope.sender.isascii() and envelope.recipient.isascii()):
            if not self.smtp.has_extn("smtputf8"):
                raise _Answered(553, b"5.6.7 The mail server takes no international addresses")
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        _expect(250, self.smtp.mail(envelope.sender, options))
        _expect(250, self.smtp.rcpt(envelope.recipient))
        _expect(354, self.smtp.docmd("DATA"))

    def write(self, content: bytes) -> None:
        """The message up to its end, with dots doubled (RFC 5321, 4.5.2)."""
        body = re.sub(rb"(?m)^\.", b"..", content)
        self.smtp.send(body if body.endswith(b"\r\n") else body + b"\r\n")

    def end(self) -> str:
        """The end of the message. Returns the reply that takes it over."""
        self._sock().settimeout(END_SECONDS)
        self.smtp.send(END)
        reply = _expect(250, self.smtp.getreply())
        self._sock().settimeout(COMMAND_SECONDS)
        self.used = time.monotonic()
        self.mails += 1
        return reply

    def reset(self) -> bool:
        """Whether the server forgot the begun transaction and is ready for the next."""
        with suppress(OSError, smtplib.SMTPException):
            return self.smtp.rset()[0] == 250
        return False

    def quit(self) -> None:
        if self.pid == os.getpid():
            with suppress(OSError, smtplib.SMTPException):
                self._sock().settimeout(1)
                self.smtp.quit()
        self.smtp.close()


def _own_name() -> str:
    # Not smtplib's getfqdn(), which may wait for DNS. RFC 5321, 4.1.3 allows a literal instead.
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _expect(code: int, answer: tuple[int, bytes]) -> str:
    reply = _Answered(*answer)
    if reply.code // 100 != code // 100:
        raise reply
    return reply.reply


# What a broken or misbehaving connection raises.
BROKEN = (OSError, smtplib.SMTPException)


class SmtpGateway:
    """One server; the last connection is kept open for the next mail."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._idle: list[_Line] = []
        atexit.register(self.close)

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        try:
            line = self._addressed(envelope)
        except _Answered as answer:
            return Handover(_verdict(answer.code), answer.reply)
        except (*BROKEN, _Unusable) as error:
            return Handover(Outcome.DEFERRED, _tell(error))
        return self._send(line, envelope, before_end)

    def _addressed(self, envelope: Envelope) -> _Line:
        """Return a connection that waits for the message's data."""
        line = self._take()
        if line is not None:
            try:
                return self._address(line, envelope)
            except BROKEN:
                pass
            except _Answered as answer:
                # 421: the server ends the session, perhaps only because it was used long enough.
                if answer.code != 421:
                    raise
        return self._address(_Line(self.server), envelope)

    def _address(self, line: _Line, envelope: Envelope) -> _Line:
        try:
            line.address(envelope)
        except _Answered as answer:
            if answer.code != 421 and line.reset():
                self._keep(line)
            else:
                line.quit()
            raise
        except BaseException:
            line.smtp.close()
            raise
        return line

    def _send(self, line: _Line, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        # Closing without the end makes the server throw away what it has of the message.
        try:
            line.write(envelope.content)
            wanted = before_end()
        except BROKEN as error:
            line.smtp.close()
            return Handover(Outcome.DEFERRED, _tell(error))
        except BaseException:
            line.smtp.close()
            raise
        if not wanted:
            line.smtp.close()
            return Handover(Outcome.WITHDRAWN)
        return self._end(line)

    def _end(self, line: _Line) -> Handover:
        try:
            reply = line.end()
        except _Answered as answer:
            if answer.code // 100 in (4, 5) and answer.code != 421:
                self._keep(line)
                return Handover(_verdict(answer.code), answer.reply)
            line.quit()
            final = Outcome.DEFERRED if answer.code == 421 else Outcome.IN_DOUBT
            return Handover(final, answer.reply)
        except BROKEN as error:
            line.smtp.close()
            return Handover(Outcome.IN_DOUBT, _tell(error))
        except BaseException:
            line.smtp.close()
            raise
        self._keep(line)
        return Handover(Outcome.ACCEPTED, reply)

    def _take(self) -> _Line | None:
        # pop and append are atomic: two threads never get the same connection.
        with suppress(IndexError):
            line = self._idle.pop()
            if line.is_fresh():
                return line
            line.quit()
        return None

    def _keep(self, line: _Line) -> None:
        if self._idle:
            line.quit()
        else:
            self._idle.append(line)

    def close(self) -> None:
        """Say goodbye on the connection that is kept; the next mail opens another."""
        while True:
            try:
                self._idle.pop().quit()
            except IndexError:
                return


def _verdict(code: int) -> Outcome:
    return Outcome.REFUSED if code // 100 == 5 else Outcome.DEFERRED


def _tell(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _readable(error.smtp_code, error.smtp_error)
    return str(error)[:MAX_REPLY] or type(error).__name__
