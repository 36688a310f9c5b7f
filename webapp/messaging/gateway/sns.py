"""Amazon SNS: which messages are its own, and the answer to its question whether we listen.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html. Only the topic that
the shop named is heard; certificate and confirmation are fetched from that topic's region alone,
whatever address a message names.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from webapp.core.errors import RetryLater
from webapp.messaging.errors import InvalidMailWebhook

TIMEOUTS = (3, 5)
MOST_BYTES = 64 * 1024
NOTIFICATION = "Notification"
CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
ASKS_FOR_ANSWER = "SubscriptionConfirmation"
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_CONFIRMATION = (
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)
_HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}
_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{4,30}):\d{12}:[\w.-]{1,256}")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{8,64}\.pem")


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """``subscribe_url`` is set where SNS asks whether we listen."""

    message_id: str
    kind: str
    subscribe_url: str = ""


def verify_sns(body: bytes, topic_arn: str) -> SnsMessage:
    """Return what was signed by SNS for this topic. Asks the network for a new certificate.

    Raises InvalidMailWebhook, or RetryLater when the certificate can't be had now.
    """
    fields = _fields(body)
    kind = fields.get("Type", "")
    if fields.get("TopicArn") != topic_arn:
        raise InvalidMailWebhook("The message is not from the topic that SES_TOPIC_ARN names.")
    if kind != NOTIFICATION and kind not in CONFIRMATIONS:
        raise InvalidMailWebhook("The message is of no kind that SNS sends.")
    algorithm = _HASHES.get(fields.get("SignatureVersion", ""))
    if algorithm is None:
        raise InvalidMailWebhook("The signature is of no version that is known.")
    certificate = _checked_url(fields.get("SigningCertURL", ""), topic_arn)
    if not _CERTIFICATE.fullmatch(urlsplit(certificate).path):
        raise InvalidMailWebhook("The certificate is not where SNS keeps its own.")
    _check(fields, algorithm(), certificate)
    asks = fields.get("SubscribeURL", "") if kind == ASKS_FOR_ANSWER else ""
    return SnsMessage(fields.get("MessageId", ""), kind, asks)


def _fields(body: bytes) -> dict[str, str]:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidMailWebhook("The content is not JSON.") from None
    if not isinstance(found, dict):
        raise InvalidMailWebhook("The content is no message of SNS.")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _check(fields: dict[str, str], algorithm: hashes.HashAlgorithm, certificate: str) -> None:
    names = _SIGNED_CONFIRMATION if fields["Type"] in CONFIRMATIONS else _SIGNED
    signed = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
        _key_of(certificate).verify(signature, signed.encode(), PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, UnicodeEncodeError):
        raise InvalidMailWebhook("The signature does not fit the message.") from None


@lru_cache(maxsize=8)
def _key_of(url: str) -> RSAPublicKey:
    """Return the key of a certificate; SNS gives a new one a new address, so it is kept."""
    try:
        key = x509.load_pem_x509_certificate(_get(url)).public_key()
    except ValueError:
        raise InvalidMailWebhook("The certificate can't be read.") from None
    if not isinstance(key, RSAPublicKey):
        raise InvalidMailWebhook("The certificate's key is not of SNS's kind.")
    return key


def confirm_subscription(url: str, topic_arn: str) -> None:
    """Tell SNS that the topic's messages are welcome here.

    Raises InvalidMailWebhook for an address that is not SNS's, RetryLater when it doesn't answer.
    """
    _get(_checked_url(url, topic_arn))


def _checked_url(url: str, topic_arn: str) -> str:
    """Return an address that surely is SNS's, in the topic's own region."""
    arn = _ARN.fullmatch(topic_arn)
    if arn is None:
        raise InvalidMailWebhook("SES_TOPIC_ARN is not the ARN of an SNS topic.")
    partition, region = arn.groups()
    host = f"sns.{region}.amazonaws.com" + (".cn" if partition == "aws-cn" else "")
    try:
        parts = urlsplit(url)
        ours = (parts.scheme, parts.netloc) == ("https", host)
    except ValueError:
        ours = False
    if not ours or not url.isprintable() or not url.isascii():
        raise InvalidMailWebhook("An address in the message is not SNS's.")
    return url


def _get(url: str) -> bytes:
    try:
        with requests.get(url, timeout=TIMEOUTS, allow_redirects=False, stream=True) as answer:
            if answer.status_code != 200:
                raise RetryLater(f"SNS answered {answer.status_code}.")
            return next(answer.iter_content(MOST_BYTES), b"")
    except requests.RequestException as error:
        raise RetryLater(f"SNS did not answer ({type(error).__name__}).") from None
