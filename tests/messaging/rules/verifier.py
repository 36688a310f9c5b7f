"""A verifier of DKIM signatures, written from RFC 6376 alone and proven on the samples of RFC 8463.

It knows relaxed/relaxed with rsa-sha256 and ed25519-sha256: what the shop signs with.
"""

import base64
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

# RFC 8463, A.2 and A.3.
SAMPLE_RECORDS = {
    "brisbane": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "test": (
        "v=DKIM1; k=rsa; p="
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bd"
        "OKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4h"
        "stT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
    ),
}
SAMPLE_SIGNATURES = {
    "brisbane": """\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
""",
    "test": """\
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
""",
}
SAMPLE = """\
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
"""
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)\r\n")


def holds(mail: bytes, record: str) -> bool:
    """Say whether the first signature of a mail is the one that ``record``'s key makes for it."""
    head, _, body = mail.partition(b"\r\n\r\n")
    fields = [(name.lower(), value) for name, value in _FIELD.findall(head + b"\r\n")]
    signature = next(value for name, value in fields if name == b"dkim-signature")
    tags = _tags(signature)
    body_hash = base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
    if tags["bh"] != body_hash:
        return False
    data = b"".join(_chosen(fields, tags["h"].lower().encode().split(b":")))
    # RFC 6376, 3.7: the signature itself comes last, its b= emptied and no line end after it.
    emptied = re.sub(rb"([;\s]b=)[^;]*$", rb"\1", signature.rstrip(b" \t\r\n"))
    data += b"dkim-signature:" + _relaxed_value(emptied)
    return _is_signed(tags, data, _tags(record.encode()))


def _is_signed(tags: dict[str, str], data: bytes, record: dict[str, str]) -> bool:
    public, signature = base64.b64decode(record["p"]), base64.b64decode(tags["b"])
    assert tags["a"] == f"{record['k']}-sha256"
    assert tags["c"] == "relaxed/relaxed"
    try:
        if record["k"] == "ed25519":
            digest = hashlib.sha256(data).digest()
            Ed25519PublicKey.from_public_bytes(public).verify(signature, digest)
        else:
            key = load_der_public_key(public)
            assert isinstance(key, RSAPublicKey)
            key.verify(signature, data, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _chosen(fields: list[tuple[bytes, bytes]], names: list[bytes]) -> list[bytes]:
    """Return the named fields, the lowest first; a missing one is nothing."""
    left = list(fields)
    chosen = []
    for name in names:
        places = [at for at, (known, _) in enumerate(left) if known == name]
        if places:
            _, value = left.pop(places[-1])
            chosen.append(name + b":" + _relaxed_value(value) + b"\r\n")
    return chosen


def _relaxed_value(value: bytes) -> bytes:
    return re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")


def _relaxed_body(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def _tags(text: bytes) -> dict[str, str]:
    parts = re.sub(rb"\s+", b"", text).decode().strip(";").split(";")
    return {name: value for name, _, value in (part.partition("=") for part in parts)}
