"""ID tokens as the provider makes them: true ones, and one for every lie."""

import base64
import hashlib
import hmac
import json
import time
from enum import StrEnum
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey


class Lie(StrEnum):
    """What is not as it should be."""

    WRONG_STATE = "wrong_state"
    ANOTHER_ISSUER_ANSWERS = "another_issuer_answers"
    DISCOVERY_OF_ANOTHER = "discovery_of_another"
    NO_ID_TOKEN = "no_id_token"
    WRONG_NONCE = "wrong_nonce"
    NO_NONCE = "no_nonce"
    WRONG_AUDIENCE = "wrong_audience"
    SEVERAL_AUDIENCES = "several_audiences"
    WRONG_PARTY = "wrong_party"
    WRONG_ISSUER = "wrong_issuer"
    BAD_SIGNATURE = "bad_signature"
    CHANGED_CLAIMS = "changed_claims"
    UNSIGNED = "unsigned"
    SIGNED_WITH_PUBLIC_KEY = "signed_with_public_key"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from_the_future"
    NO_EXPIRY = "no_expiry"
    UNKNOWN_KEY = "unknown_key"
    NO_SUBJECT = "no_subject"
    EMPTY_SUBJECT = "empty_subject"
    ANOTHER_ACCESS_TOKEN = "another_access_token"
    NO_TOKEN_AT_ALL = "no_token_at_all"


CHANGES: dict[Lie, dict[str, Any]] = {
    Lie.WRONG_NONCE: {"nonce": "somebody-elses"},
    Lie.NO_NONCE: {"nonce": None},
    Lie.WRONG_AUDIENCE: {"aud": "another.client"},
    Lie.SEVERAL_AUDIENCES: {"aud": ["shop.example.client", "another.client"]},
    Lie.WRONG_PARTY: {"azp": "another.client"},
    Lie.WRONG_ISSUER: {"iss": "https://evil.example"},
    Lie.NO_SUBJECT: {"sub": None},
    Lie.EMPTY_SUBJECT: {"sub": ""},
    Lie.NO_EXPIRY: {"exp": None},
    Lie.ANOTHER_ACCESS_TOKEN: {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


def mint(claims: dict[str, Any], key: RSAKey, access_token: str, lie: Lie | None) -> str:
    """Return the ID token for ``claims``, untrue in the one way that ``lie`` says."""
    now = int(time.time())
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    full = {**claims, "iat": now, "exp": now + 600, "at_hash": _text(half)}
    if lie is not None:
        full.update(CHANGES.get(lie, {}))
    if lie is Lie.EXPIRED:
        full.update(iat=now - 7200, exp=now - 3600)
    if lie is Lie.FROM_THE_FUTURE:
        full.update(iat=now + 3600, exp=now + 7200)
    told = {name: value for name, value in full.items() if value is not None}
    return _sign(told, key, lie)


def _sign(claims: dict[str, Any], key: RSAKey, lie: Lie | None) -> str:
    header = {"alg": "RS256", "kid": key.kid or ""}
    match lie:
        case Lie.UNSIGNED:
            return f"{_part({'alg': 'none', 'kid': key.kid})}.{_part(claims)}."
        case Lie.SIGNED_WITH_PUBLIC_KEY:
            signed = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(claims)}"
            public = key.as_pem(private=False)
            return f"{signed}.{_text(hmac.digest(public, signed.encode(), 'sha256'))}"
        case Lie.BAD_SIGNATURE:
            return jwt.encode(header, claims, RSAKey.generate_key(2048), ["RS256"])
        case Lie.UNKNOWN_KEY:
            header["kid"] = "nobody-has-it"
            return jwt.encode(header, claims, key, ["RS256"])
        case Lie.CHANGED_CLAIMS:
            first, _, last = jwt.encode(header, claims, key, ["RS256"]).split(".")
            return f"{first}.{_part({**claims, 'sub': 'somebody-else'})}.{last}"
        case Lie.NO_TOKEN_AT_ALL:
            return "not.a.token"
        case _:
            return jwt.encode(header, claims, key, ["RS256"])


def _part(value: dict[str, Any]) -> str:
    return _text(json.dumps(value).encode())


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
