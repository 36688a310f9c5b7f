"""Sends a caught mail back, as other people's mail servers do: a bounce or a complaint.

The report is a real one (RFC 3464, RFC 5965) and goes the real way: through the command that a
mail server would pipe it into.
"""

import shlex
import subprocess
import sys
from email.utils import format_datetime
from pathlib import Path

from sandbox.mailbox.store import Envelope
from sandbox.processes import ROOT

RECEIVE = [sys.executable, "-m", "flask", "--app", "wsgi", "mail", "receive"]
PATIENCE_SECONDS = 240
BOUNDARY = "=_mailbox"
HEAD_BYTES = 50_000
HARD = "550 5.1.1 The mailbox does not exist"
SOFT = "552 5.2.2 The mailbox is full"


class NotReturned(Exception):
    """The shop did not take the report; the words say why."""


class Shop:
    """The shop whose mails these are, known by the settings that its stack wrote into a file."""

    def __init__(self, settings: Path) -> None:
        self._settings = settings

    def receive(self, report: bytes, environ: dict[str, str]) -> str:
        """Pipe a report into the shop; returns what its command said. Raises NotReturned."""
        try:
            lines = self._settings.read_text(encoding="utf-8").splitlines()
        except OSError:
            raise NotReturned("The shop is not up yet. Try again in a moment.") from None
        pairs = (line.partition("=") for line in lines if line)
        settings = {name: "".join(shlex.split(value)) for name, _, value in pairs}
        try:
            done = subprocess.run(
                RECEIVE,
                input=report,
                env=environ | settings,
                cwd=ROOT,
                capture_output=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotReturned("The shop did not take it in time.") from None
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise NotReturned(last[0] if last else f"Its command ended with {done.returncode}.")
        return done.stdout.decode(errors="replace").strip()


def write_bounce(envelope: Envelope, source: bytes, reply: str) -> bytes:
    """Return the notification that a mail failed with an SMTP ``reply`` like "550 5.1.1 No"."""
    status = next((word for word in reply.split() if word.count(".") == 2), "5.0.0")
    to = envelope.recipients[0]
    kind = "utf-8" if not to.isascii() else "rfc822"
    wide = "global-" if kind == "utf-8" else ""
    fields = (
        "Reporting-MTA: dns; mailbox.localhost\r\n\r\n"
        f"Final-Recipient: {kind}; {to}\r\n"
        "Action: failed\r\n"
        f"Status: {status}\r\n"
        f"Diagnostic-Code: smtp; {reply}\r\n"
    )
    head = _head("MAILER-DAEMON@localhost", envelope, "Undelivered Mail Returned to Sender")
    words = f"Your mail to <{to}> could not be delivered:\r\n{reply}\r\n"
    return b"".join(
        [
            f"{head}Content-Type: multipart/report; report-type={wide}delivery-status;\r\n"
            f'\tboundary="{BOUNDARY}"\r\n\r\n'.encode(),
            _part("text/plain; charset=utf-8", words.encode()),
            _part(f"message/{wide}delivery-status", fields.encode()),
            _part("message/global-headers" if wide else "text/rfc822-headers", _headers_of(source)),
            f"--{BOUNDARY}--\r\n".encode(),
        ]
    )


def write_complaint(envelope: Envelope, source: bytes) -> bytes:
    """Return the report that the recipient called a mail spam."""
    fields = (
        "Feedback-Type: abuse\r\n"
        "User-Agent: Mailbox/1.0\r\n"
        "Version: 1\r\n"
        f"Original-Mail-From: <{envelope.sender}>\r\n"
        f"Original-Rcpt-To: <{envelope.recipients[0]}>\r\n"
    )
    head = _head("feedback@localhost", envelope, "Complaint about a mail")
    return b"".join(
        [
            f"{head}Content-Type: multipart/report; report-type=feedback-report;\r\n"
            f'\tboundary="{BOUNDARY}"\r\n\r\n'.encode(),
            _part("text/plain; charset=utf-8", b"The recipient called this mail spam.\r\n"),
            _part("message/feedback-report", fields.encode()),
            _part("message/rfc822", source),
            f"--{BOUNDARY}--\r\n".encode(),
        ]
    )


def _head(sender: str, envelope: Envelope, subject: str) -> str:
    return (
        "Return-Path: <>\r\n"
        f"Date: {format_datetime(envelope.received_at)}\r\n"
        f"From: Mailbox <{sender}>\r\n"
        f"To: {envelope.sender}\r\n"
        f"Subject: {subject}\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
    )


def _part(kind: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + content + b"\r\n"


def _headers_of(source: bytes) -> bytes:
    return source[:HEAD_BYTES].replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\r\n"
