"""DKIM (RFC 6376): signs mails in the name of the domain they come from.

``rsa-sha256`` or, by the kind of the key, ``ed25519-sha256`` (RFC 8463), relaxed/relaxed. Only
mails from the configured domain or one below it are signed: a signature of another domain proves
nothing about the From address (DMARC, RFC 7489, 3.1.1).
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from webapp.core import clock
from webapp.core.config import read_dkim_key
from webapp.core.state import current_config

# Each is signed where it stands. The first four are named once more than they stand, so that
# nobody can add another one that a reader sees instead (RFC 6376, 8.15).
SEALED = (b"from", b"to", b"subject", b"reply-to")
SIGNED = (
    *SEALED,
    b"date",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"list-id",
    b"feedback-id",
)
SPACES = re.compile(rb"[ \t]+")
FROM_DOMAIN = re.compile(rb"@([^@<>\s]+?)>?\s*$")
WIDTH = 72
TXT_MAX = 255


@dataclass(frozen=True, slots=True)
class Signer:
    """One key, and the name under which its public half is published."""

    domain: str
    selector: str
    key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        """Return the ``DKIM-Signature`` header to put in front of a message with CRLF line ends.

        Empty where the message comes from a domain that is not ours to sign for.
        """
        head, _, body = content.partition(b"\r\n\r\n")
        headers = _headers(head)
        if not self._aligns(headers.get(b"from", ())):
            return b""
        names = [name for name in SIGNED for _ in headers.get(name, ())]
        unsigned = self._unsigned([*names, *SEALED], sha256(relaxed_body(body)).digest())
        signed = [b"%b:%b\r\n" % (name, value) for name, value in _in_order(headers, names)]
        relaxed = SPACES.sub(b" ", unsigned.replace(b"\r\n", b"")).replace(
            b"DKIM-Signature: ", b"dkim-signature:"
        )
        signature = self._sign(b"".join(signed) + relaxed)
        return unsigned + _folded(base64.b64encode(signature)) + b"\r\n"

    def _aligns(self, values: Sequence[bytes]) -> bool:
        found = FROM_DOMAIN.search(values[0]) if len(values) == 1 else None
        if found is None:
            return False
        domain = found.group(1).decode("utf-8", "replace").lower()
        return domain == self.domain or domain.endswith(f".{self.domain}")

    def _unsigned(self, names: Sequence[bytes], body_hash: bytes) -> bytes:
        algorithm = "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"
        return (
            b"DKIM-Signature: v=1; a=%b; c=relaxed/relaxed;\r\n d=%b; s=%b;\r\n t=%d;\r\n h=%b;\r\n"
            b" bh=%b;\r\n b="
        ) % (
            algorithm.encode(),
            self.domain.encode(),
            self.selector.encode(),
            int(clock.now().timestamp()),
            _names(names),
            base64.b64encode(body_hash),
        )

    def _sign(self, data: bytes) -> bytes:
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(data, PKCS1v15(), SHA256())
        # RFC 8463, 3: the hash is what is signed, not the data.
        return self.key.sign(sha256(data).digest())

    @property
    def record_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The value of the TXT record that publishes the key."""
        public = self.key.public_key()
        if isinstance(self.key, RSAPrivateKey):
            kind = "rsa"
            key = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            kind = "ed25519"
            key = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k={kind}; p={base64.b64encode(key).decode()}"

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file: a string there holds 255 characters."""
        value = self.record
        parts = [value[at : at + TXT_MAX] for at in range(0, len(value), TXT_MAX)]
        return f"{self.record_name}. IN TXT " + " ".join(f'"{part}"' for part in parts)


def relaxed_body(body: bytes) -> bytes:
    """Return the body as RFC 6376, 3.4.4 compares it."""
    # Far faster than a pattern would be; this runs for each mail of a campaign.
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n").rstrip(b" ")
    while body.endswith(b"\r\n\r\n"):
        body = body[:-2]
    if body in (b"", b"\r\n"):
        return b""
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def _headers(head: bytes) -> dict[bytes, list[bytes]]:
    """Return the values of each header as RFC 6376, 3.4.2 compares them, in their order."""
    headers: dict[bytes, list[bytes]] = {}
    for line in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
        name, _, value = line.partition(b":")
        values = headers.setdefault(name.strip().lower(), [])
        values.append(SPACES.sub(b" ", value).strip(b" "))
    return headers


def _in_order(
    headers: Mapping[bytes, Sequence[bytes]], names: Sequence[bytes]
) -> list[tuple[bytes, bytes]]:
    """Pair the names with their values; of one that stands twice the last is named first."""
    left = {name: list(headers[name]) for name in set(names)}
    return [(name, left[name].pop()) for name in names]


def _names(names: Sequence[bytes]) -> bytes:
    lines, line = [], b""
    for name in names:
        if len(line) + len(name) > WIDTH:
            lines.append(line)
            line = b""
        line += name + b":"
    return b"\r\n ".join([*lines, line[:-1]])


def _folded(value: bytes) -> bytes:
    return b"".join(b"\r\n " + value[at : at + WIDTH] for at in range(0, len(value), WIDTH))


def current_signer() -> Signer | None:
    """Return the signer that DKIM_DOMAIN, DKIM_SELECTOR and DKIM_PRIVATE_KEY make, if any."""
    config = current_config()
    if not config.dkim_private_key:
        return None
    return _signer(config.dkim_domain, config.dkim_selector, config.dkim_private_key)


@lru_cache(maxsize=64)
def _signer(domain: str, selector: str, pem: str) -> Signer:
    return Signer(domain.lower(), selector, read_dkim_key(pem))


def signed(content: bytes) -> bytes:
    """Return the message with its signature in front, where there is a key."""
    signer = current_signer()
    return content if signer is None else signer.sign(content) + content
