"""One connection to a mail server: the only file that speaks SMTP."""

import os
import re
import smtplib
import socket
import time
from contextlib import suppress

from webapp.messaging.gateway.envelope import Envelope
from webapp.messaging.gateway.servers import Security, Server

CONNECT_SECONDS = 10
COMMAND_SECONDS = 30
# The server may scan the whole message before it answers; RFC 5321 (4.5.3.2.6) grants it more.
END_SECONDS = 60
IDLE_SECONDS = 5
MAX_AGE_SECONDS = 240
MAX_MAILS = 100
END = b".\r\n"
MAX_REPLY = 1000
# What a broken or misbehaving connection raises.
BROKEN = (OSError, smtplib.SMTPException)


class Answered(Exception):
    """The server's reply was another than the one wished for."""

    def __init__(self, code: int, text: bytes) -> None:
        self.code = code
        self._text = text

    @property
    def reply(self) -> str:
        """The reply as people read it."""
        return _readable(self.code, self._text)


class Unusable(Exception):
    """The server can't be used in the way SMTP_URL demands."""


def _readable(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {words}"[:MAX_REPLY].replace("\x00", "")


class Line:
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
            raise Unusable("The mail server offers no STARTTLS, which SMTP_URL demands.")
        if server.user:
            if not encrypted and not server.is_local:
                raise Unusable("The password is not sent: the connection is not encrypted.")
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

    def touch(self) -> None:
        """Note that somebody else speaks on this connection now."""
        self.used = time.monotonic()

    def address(self, envelope: Envelope) -> None:
        """MAIL FROM, RCPT TO, DATA. Raises Answered at the first reply that isn't a yes."""
        options = []
        if not (envelope.sender.isascii() and envelope.recipient.isascii()):
            if not self.smtp.has_extn("smtputf8"):
                raise Answered(553, b"5.6.7 The mail server takes no international addresses")
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
    reply = Answered(*answer)
    if reply.code // 100 != code // 100:
        raise reply
    return reply.reply


def tell(error: Exception) -> str:
    """What broke, in the server's words where it had any."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _readable(error.smtp_code, error.smtp_error)
    return str(error)[:MAX_REPLY] or type(error).__name__
