"""SendGrid's signed event webhook: which posts are its own.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import base64
import binascii
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from webapp.messaging.errors import InvalidMailWebhook

TOLERANCE_SECONDS = 300


def verify_sendgrid(
    body: bytes, signature: str, timestamp: str, public_key: str, now: datetime
) -> None:
    """Check that SendGrid signed the body, ECDSA over the time and the body, a moment ago.

    ``public_key`` is base64 of its DER, as SendGrid shows it. Raises InvalidMailWebhook.
    """
    key = _read_key(public_key)
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise InvalidMailWebhook("The signature has no time.")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        raise InvalidMailWebhook("The signature is too old, or a clock is wrong.")
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        raise InvalidMailWebhook("The signature does not fit the body.") from None


def _read_key(public_key: str) -> EllipticCurvePublicKey:
    try:
        key = load_der_public_key(base64.b64decode(public_key, validate=True))
    except ValueError:
        raise InvalidMailWebhook("SENDGRID_PUBLIC_KEY can't be read.") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise InvalidMailWebhook("SENDGRID_PUBLIC_KEY is not of SendGrid's kind.")
    return key
