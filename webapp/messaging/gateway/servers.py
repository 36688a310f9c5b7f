"""Which mail server SMTP_URL names, and how far its connection is trusted."""

import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote

from webapp.messaging.errors import InvalidSmtpUrl


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


def read_server(parts: SplitResult) -> Server:
    """Return the server that SMTP_URL names. Raises InvalidSmtpUrl."""
    try:
        security = Security(parts.scheme)
        port = parts.port or PORTS[security]
    except ValueError:
        raise InvalidSmtpUrl from None
    if not parts.hostname:
        raise InvalidSmtpUrl
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(security, parts.hostname, port, user, password)
