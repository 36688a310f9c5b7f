"""The only door to the mail server: hands one message over and says exactly what is known of it.

RFC 5321, 4.2.5: a server takes responsibility by answering the end of the data (``CRLF.CRLF``).
So everything but that end is sent first, then the caller commits that it is about to be sent, and
only then it goes out. Whatever breaks before is known not to be accepted.
"""

from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from webapp.core.state import current_config
from webapp.messaging.gateway.envelope import Envelope, Gateway, Handover, Outcome
from webapp.messaging.gateway.offline import FileGateway, NullGateway
from webapp.messaging.gateway.pipelined import (
    BulkGateway,
    Journal,
    OneByOne,
    PipelinedGateway,
    Result,
)
from webapp.messaging.gateway.servers import read_server
from webapp.messaging.gateway.smtp import SmtpGateway

__all__ = [
    "BulkGateway",
    "Envelope",
    "Gateway",
    "Handover",
    "Journal",
    "Outcome",
    "PipelinedGateway",
    "Result",
    "current_bulk_gateway",
    "current_gateway",
    "open_gateway",
]


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
    return SmtpGateway(read_server(parts))


def current_bulk_gateway() -> BulkGateway:
    """Return this process's gateway for campaigns, to the server that BULK_SMTP_URL names."""
    config = current_config()
    return _open_bulk_gateway(config.bulk_smtp_url or config.smtp_url)


@lru_cache(maxsize=8)
def _open_bulk_gateway(url: str) -> BulkGateway:
    gateway = open_gateway(url)
    if isinstance(gateway, SmtpGateway):
        return PipelinedGateway(gateway.server)
    return OneByOne(gateway)
