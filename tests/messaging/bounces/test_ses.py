"""Amazon's door: what SNS signed is kept once, all else is refused, and nobody else is asked."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from jobs.messaging import read_reports
from tests.factories.emails import code_of, make_frozen, recipient_of
from tests.messaging.bounces.inbox import BOB, SES, reports, suppressed
from webapp.core.db import db
from webapp.core.errors import RetryLater
from webapp.core.models import Job, JobState
from webapp.core.redis import redis_client
from webapp.core.state import current_fork
from webapp.messaging.gateway import sns
from webapp.messaging.models import (
    BounceKind,
    MailBounce,
    ReportState,
    SuppressionScope,
)

TOPIC = "arn:aws:sns:eu-central-1:123456789012:bounces"
HOST = "https://sns.eu-central-1.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=abc"
NAMES = (
    "Message",
    "MessageId",
    "Subject",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)


@pytest.fixture(scope="module")
def amazon() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def certificate(amazon: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, amazon.public_key(), 1, now, now)
    return made.sign(amazon, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(slots=True)
class Amazon:
    """SNS as the network shows it: what was fetched from it, and what it signs."""

    key: rsa.RSAPrivateKey
    fetched: list[str]
    away: bool = False

    def sign(self, version: str = "2", **fields: str) -> bytes:
        message = {
            "Type": "Notification",
            "MessageId": "m-1",
            "TopicArn": TOPIC,
            "Timestamp": "2026-11-21T09:00:00.000Z",
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE,
            **fields,
        }
        text = "".join(f"{name}\n{message[name]}\n" for name in NAMES if name in message)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return json.dumps({**message, "Signature": base64.b64encode(signature).decode()}).encode()


@pytest.fixture
def aws(
    app: Flask,
    amazon: rsa.RSAPrivateKey,
    certificate: bytes,
    monkeypatch: pytest.MonkeyPatch,
    configured: Callable[..., None],
) -> Amazon:
    stand_in = Amazon(amazon, [])

    def get(url: str) -> bytes:
        stand_in.fetched.append(url)
        if stand_in.away:
            raise RetryLater("SNS did not answer.")
        return certificate

    monkeypatch.setattr(sns, "_get", get)
    sns._key_of.cache_clear()
    configured(ses_topic_arn=TOPIC)
    return stand_in


def bounce(code: str = "x" * 32, **changed: Any) -> dict[str, Any]:
    """What SES notifies of, original headers included."""
    person = {"emailAddress": BOB, "status": "5.1.1", "action": "failed"}
    person["diagnosticCode"] = "smtp; 550 5.1.1 user unknown"
    return {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [person],
            "timestamp": "2026-11-21T09:00:00.000Z",
            "feedbackId": "0107-feedback",
            "reportingMTA": "dsn; a8-70.smtp-out.amazonses.example",
            **changed,
        },
        "mail": {
            "timestamp": "2026-11-21T08:59:59.000Z",
            "source": "news@shop.example",
            "messageId": "0107-ses",
            "destination": [BOB],
            "headers": [{"name": "Message-ID", "value": f"<{code}@shop.example>"}],
            "commonHeaders": {"messageId": f"<{code}@shop.example>", "to": [BOB]},
        },
    }


def post(client: FlaskClient, body: bytes) -> TestResponse:
    return client.post(SES, data=body, headers={"Content-Type": "text/plain; charset=UTF-8"})


@pytest.fixture
def code(app: Flask) -> str:
    return code_of(recipient_of(make_frozen([BOB]), BOB))


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_bounce_that_ses_reports_suppresses(
    client: FlaskClient, aws: Amazon, code: str, version: str
) -> None:
    body = aws.sign(version, Message=json.dumps(bounce(code)), Subject="Amazon SES")
    for _ in range(3):
        assert post(client, body).json == {"received": True}
    assert aws.fetched == [CERTIFICATE]
    assert redis_client().llen(f"rq:queue:{current_fork().queue_name('mail')}") == 1
    (kept,) = reports()
    assert kept.state is ReportState.WAITING
    read_reports()
    assert suppressed() == [(BOB, SuppressionScope.ALL)]
    (found,) = db.session.scalars(select(MailBounce))
    assert (found.code, found.kind, found.source) == (code, BounceKind.HARD, "ses")


def published(code: str) -> dict[str, Any]:
    """A complaint as SES publishes it through a configuration set, without original headers."""
    told = bounce(code)
    mail = {"source": f"bounces+{code}@shop.example", "destination": [BOB]}
    complaint = {"complainedRecipients": [{"emailAddress": BOB}], "feedbackId": "f"}
    complaint |= {"complaintFeedbackType": "abuse", "userAgent": "Yahoo!-Mail-Feedback/2.0"}
    return {"eventType": "Complaint", "complaint": complaint, "mail": told["mail"] | mail}


def test_a_complaint_that_ses_publishes_ends_marketing(
    client: FlaskClient, aws: Amazon, code: str
) -> None:
    post(client, aws.sign(Message=json.dumps(published(code))))
    read_reports()
    assert suppressed() == [(BOB, SuppressionScope.MARKETING)]


QUIET: dict[str, Any] = {
    "delivery": {"eventType": "Delivery", "delivery": {}, "mail": {}},
    "not spam": published("x" * 32) | {"complaint": {"complaintFeedbackType": "not-spam"}},
    "too often": bounce(bounceType="Transient", bounceSubType="MailboxFull"),
    "a list": [],
    "nothing in it": {"notificationType": "Bounce", "bounce": None, "mail": "x"},
    "odd people": bounce(bouncedRecipients=[None, 7, {"emailAddress": 5}]),
}


@pytest.mark.parametrize("name", QUIET)
def test_other_news_of_ses_suppress_nobody(client: FlaskClient, aws: Amazon, name: str) -> None:
    post(client, aws.sign(Message=json.dumps(QUIET[name])))
    read_reports()
    (kept,) = reports()
    assert kept.state is ReportState.DONE
    assert suppressed() == []


def test_ses_is_told_that_we_listen_by_a_job(
    client: FlaskClient, aws: Amazon, run_jobs: Callable[[], int]
) -> None:
    asked = {"Type": "SubscriptionConfirmation", "Token": "abc", "Message": "You have chosen"}
    body = aws.sign(SubscribeURL=SUBSCRIBE, **asked)
    assert post(client, body).status_code == post(client, body).status_code == 200
    assert run_jobs() == 1
    assert aws.fetched == [CERTIFICATE, SUBSCRIBE]
    assert reports() == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "http://sns.eu-central-1.amazonaws.com/",
        "https://sns.eu-central-1.amazonaws.com@evil.example/",
        "https://sns.eu-central-1.amazonaws.com.evil.example/",
        "https://s3.eu-central-1.amazonaws.com/",
        "https://[",
    ],
)
def test_no_address_but_amazons_is_ever_asked(
    client: FlaskClient, aws: Amazon, run_jobs: Callable[[], int], url: str
) -> None:
    """Not even at the word of Amazon's own signature; and no certificate from elsewhere."""
    asked = {"Type": "SubscriptionConfirmation", "Token": "abc", "Message": "You have chosen"}
    post(client, aws.sign(SubscribeURL=url, **asked))
    run_jobs()
    assert db.session.scalars(select(Job.state)).one() is JobState.FAILED
    elsewhere = aws.sign(
        Message="{}", SigningCertURL=f"{url}SimpleNotificationService-01234567.pem"
    )
    assert post(client, elsewhere).status_code == 400
    assert aws.fetched == [CERTIFICATE]


def test_what_amazon_did_not_sign_is_refused(client: FlaskClient, aws: Amazon) -> None:
    good = aws.sign(Message="{}")
    refused = {
        "touched": good.replace(b'"{}"', b'"[]"'),
        "another topic": aws.sign(Message="{}", TopicArn=TOPIC + "x"),
        "another version": good.replace(b'"SignatureVersion": "2"', b'"SignatureVersion": "3"'),
        "no signature": good.replace(b'"Signature"', b'"Signed"'),
        "no base64": good.replace(b'"Signature": "', b'"Signature": "*'),
        "another kind": aws.sign(Message="{}", Type="Gossip"),
        "not where certificates are": aws.sign(Message="{}", SigningCertURL=f"{HOST}/x.pem"),
        "half a character": good.replace(b'"{}"', b'"\\ud800"'),
        "no JSON": b"hello",
        "a list": b"[]",
        "nested": b"[" * 100_000,
        "blank": b" ",
    }
    for name, body in refused.items():
        answer = post(client, body)
        assert answer.status_code == 400, name
        assert answer.json and answer.json["error"]["code"] == "mail_webhook_invalid"
    assert reports() == []


def test_a_certificate_that_cannot_be_had_makes_amazon_try_again(
    client: FlaskClient, aws: Amazon
) -> None:
    aws.away = True
    assert post(client, aws.sign(Message="{}")).status_code == 503
    aws.away = False
    assert post(client, aws.sign(Message="{}")).status_code == 200
