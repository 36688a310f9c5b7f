"""The code that names one mail to one person, in links, in Message-ID and in the bounce address.

It holds the numbers of the mail and of the recipient, and the recipient's secret: so which mail a
link belongs to is known without asking the database. Small letters and digits alone, as some mail
servers fold the case of an address.
"""

import hmac
from base64 import b32decode, b32encode
from binascii import Error
from dataclasses import dataclass
from struct import Struct

_CODE = Struct(">IQQ")
_LEAVING = Struct(">IQ16s")
_SECRET_BITS = (1 << 64) - 1
CODE_LENGTH = 32
LEAVING_LENGTH = 45


@dataclass(frozen=True, slots=True)
class Code:
    """What a code says; ``secret`` is the row's signed 64 bits, to be compared with the row's."""

    email_id: int
    recipient_id: int
    secret: int


def write_code(email_id: int, recipient_id: int, secret: int) -> str:
    """Return the public code of a recipient, 32 characters of RFC 4648's base32."""
    return _write(_CODE.pack(email_id, recipient_id, secret & _SECRET_BITS))


def read_code(text: str) -> Code | None:
    """Return what a code says, or None when it can't be one."""
    raw = _read(text, CODE_LENGTH)
    if raw is None:
        return None
    email_id, recipient_id, secret = _CODE.unpack(raw)
    return Code(email_id, recipient_id, secret - (1 << 64) if secret >> 63 else secret)


def write_leaving(key: bytes, email_id: int, recipient_id: int) -> str:
    """Return the token that lets one person leave through one mail, signed with ``key``.

    It also opens their own copy of the mail, which shows it.
    """
    return _write(_LEAVING.pack(email_id, recipient_id, _leaving_mark(key, email_id, recipient_id)))


def read_leaving(keys: list[bytes], text: str) -> tuple[int, int] | None:
    """Return the mail's and the recipient's number, or None unless one of ``keys`` signed them."""
    raw = _read(text, LEAVING_LENGTH)
    if raw is None:
        return None
    email_id, recipient_id, mark = _LEAVING.unpack(raw)
    for key in keys:
        if hmac.compare_digest(mark, _leaving_mark(key, email_id, recipient_id)):
            return email_id, recipient_id
    return None


def leaving_keys(secrets: list[str], fork: str) -> list[bytes]:
    """Return the keys that leaving is signed with, of the process's secrets, newest first."""
    return [hmac.digest(secret.encode(), f"{fork}/leave".encode(), "sha256") for secret in secrets]


def _leaving_mark(key: bytes, email_id: int, recipient_id: int) -> bytes:
    return hmac.digest(key, b"%d/%d" % (email_id, recipient_id), "sha256")[:16]


def _write(raw: bytes) -> str:
    return b32encode(raw).rstrip(b"=").lower().decode("ascii")


def _read(text: str, length: int) -> bytes | None:
    if len(text) != length or not text.isascii():
        return None
    try:
        return b32decode(text.upper() + "=" * (-length % 8))
    except Error:
        return None
