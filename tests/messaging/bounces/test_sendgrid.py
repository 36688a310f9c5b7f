"""SendGrid's door: signed batches of events are kept once, all else is refused."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobs.messaging import read_reports
from tests.factories.emails import code_of, make_frozen, recipient_of
from tests.messaging.bounces.inbox import BOB, SENDGRID, SES, reports, suppressed
from webapp.core import clock
from webapp.messaging.models import ReportState, SuppressionScope


@dataclass(frozen=True, slots=True)
class Twilio:
    """SendGrid's side: it signs a batch of events and posts it."""

    client: FlaskClient
    key: ec.EllipticCurvePrivateKey

    def post(self, body: bytes, **changed: str) -> TestResponse:
        stamp = changed.pop("timestamp", str(int(clock.now().timestamp())))
        raw = self.key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(raw).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        }
        return self.client.post(SENDGRID, data=body, headers=headers | changed)


@pytest.fixture
def sendgrid(client: FlaskClient, configured: Callable[..., None]) -> Twilio:
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    configured(sendgrid_public_key=base64.b64encode(der).decode())
    return Twilio(client, key)


def event(kind: str, event_id: str = "e-1", **more: Any) -> dict[str, Any]:
    base = {"email": BOB, "timestamp": 1763715600, "event": kind, "sg_event_id": event_id}
    return base | more


def test_bounces_and_complaints_of_sendgrid_are_acted_on(sendgrid: Twilio) -> None:
    people = [BOB, "carol@example.com", "dave@example.com", "erin@example.com"]
    email = make_frozen(people)
    ids = {p: f"<{code_of(recipient_of(email, p))}@shop.example>" for p in people}
    bob, carol, dave, erin = people
    batch = [
        event("bounce", "1", type="bounce", status="5.1.1", reason="550 5.1.1 unknown user"),
        event("spamreport", "2", email=carol),
        event("bounce", "3", email=dave, type="blocked", status="5.1.1", reason="550 blocked"),
        event("dropped", "4", email=erin, reason="Bounced Address"),
        event("delivered", "5"),
        event("deferred", "6", response="451 try later"),
    ]
    batch = [each | {"smtp-id": ids[each["email"]]} for each in batch]
    body = json.dumps(batch).encode()
    assert sendgrid.post(body).status_code == sendgrid.post(body).status_code == 200
    assert len(reports()) == 1
    read_reports()
    assert sorted(suppressed()) == [
        (bob, SuppressionScope.ALL),
        (carol, SuppressionScope.MARKETING),
        (erin, SuppressionScope.ALL),
    ]
    assert recipient_of(email, carol).complained_at is not None
    assert recipient_of(email, dave).bounced_at is not None


def test_a_signed_report_may_name_an_address_we_wrote_to(sendgrid: Twilio) -> None:
    email = make_frozen([BOB])
    recipient_of(email, BOB).sent_at = clock.now()
    batch = [event("spamreport", "1"), event("spamreport", "2", email="stranger@example.com")]
    sendgrid.post(json.dumps(batch).encode())
    read_reports()
    assert suppressed() == [(BOB, SuppressionScope.MARKETING)]


@pytest.mark.parametrize("body", [b"{}", b"[1, null, {}]", b"nothing", b'[{"event": []}]'])
def test_odd_batches_of_sendgrid_break_nothing(sendgrid: Twilio, body: bytes) -> None:
    assert sendgrid.post(body).status_code == 200
    read_reports()
    assert reports()[0].state is not ReportState.WAITING
    assert suppressed() == []


def test_what_sendgrid_did_not_sign_just_now_is_refused(sendgrid: Twilio) -> None:
    now = int(clock.now().timestamp())
    name = "X-Twilio-Email-Event-Webhook-"
    refused = [
        sendgrid.post(b"[]", timestamp=str(now - 301)),
        sendgrid.post(b"[]", timestamp=str(now + 301)),
        sendgrid.post(b"[]", timestamp="soon"),
        sendgrid.post(b"[]", timestamp="9" * 40),
        sendgrid.post(b"[]", **{f"{name}Timestamp": str(now - 1)}),
        sendgrid.post(b"[]", **{f"{name}Signature": ""}),
        sendgrid.post(b"[]", **{f"{name}Signature": "*"}),
        Twilio(sendgrid.client, ec.generate_private_key(ec.SECP256R1())).post(b"[]"),
    ]
    assert [answer.status_code for answer in refused] == [400] * len(refused)
    assert reports() == []


def test_huge_bodies_are_refused_with_a_sentence(
    client: FlaskClient, configured: Callable[..., None]
) -> None:
    configured(
        ses_topic_arn="arn:aws:sns:eu-central-1:123456789012:bounces", sendgrid_public_key="AAAA"
    )
    for address in (SES, SENDGRID):
        answer = client.post(address, data=b" " * 10_000_000)
        assert answer.status_code == 413
        assert answer.json and "larger than 1024 KiB" in answer.json["error"]["message"]


def test_a_shop_without_providers_has_no_such_doors(client: FlaskClient) -> None:
    assert client.post(SES, data=b"{}").status_code == 404
    assert client.post(SENDGRID, data=b"[]").status_code == 404
