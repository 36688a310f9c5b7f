"""The mailbox's SMTP side: takes what any client sends, or refuses it as told."""

import asyncio

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.mailbox.refusals import Refusals
from sandbox.mailbox.store import Store
from sandbox.ports import HOST

SIZE_LIMIT = 25 * 1024 * 1024
RECIPIENT_LIMIT = 1000


class Catcher:
    """aiosmtpd's hooks."""

    def __init__(self, store: Store, refusals: Refusals) -> None:
        self.store = store
        self.refusals = refusals

    async def handle_MAIL(  # noqa: N802 - aiosmtpd calls it so
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self.refusals.reply("mail")
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        local, _, domain = address.rpartition("@")
        if not local or not domain:
            return "553 5.1.3 The address needs a name, an @ and a domain"
        if len(envelope.rcpt_tos) >= RECIPIENT_LIMIT:
            return "452 4.5.3 Too many recipients"
        refusal = self.refusals.reply("rcpt", address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it so
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        refusal = self.refusals.reply("data")
        if refusal:
            return refusal
        content = envelope.content
        source = content if isinstance(content, bytes) else (content or "").encode()
        message_id = self.store.add(envelope.mail_from or "", list(envelope.rcpt_tos), source)
        return f"250 2.0.0 Caught as {message_id}"


async def serve_smtp(store: Store, refusals: Refusals, port: int) -> asyncio.Server:
    """Listen on loopback; the caller owns the server."""
    catcher = Catcher(store, refusals)
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            catcher,
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            ident="mailbox",
            hostname="localhost",
            timeout=120,
        )

    return await loop.create_server(session, HOST, port)
