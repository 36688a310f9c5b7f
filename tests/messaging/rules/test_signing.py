"""Mails carry a signature that another's verifier accepts, and that breaks when they change."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Flask

from tests.messaging.rules import verifier
from webapp.core import clock
from webapp.core.config import load_config
from webapp.core.errors import ConfigError
from webapp.core.state import bind
from webapp.messaging.gateway.dkim import Signer, current_signer, relaxed_body
from webapp.messaging.services import claim, post_words
from webapp.messaging.services.composing import Headers, Words, compose

KEYS: dict[str, RSAPrivateKey | Ed25519PrivateKey] = {
    "rsa": generate_private_key(65537, 2048),
    "ed25519": Ed25519PrivateKey.generate(),
}


def pem(key: Any) -> str:
    written: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return written.decode()


PEMS = {kind: pem(key) for kind, key in KEYS.items()}
OTHER = pem(ec.generate_private_key(ec.SECP256R1()))
WORDS = Words("Grüße  an  alle, " * 8, "Hello  \n\n  world\t \n\n\n", "<p>Hello</p>\n\n")
LEAVING = (
    b"List-Unsubscribe: <https://birch.example/u/token>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
)


def signer(kind: str, domain: str = "birch.example") -> Signer:
    return Signer(domain, "s2026", KEYS[kind])


def message(words: Words = WORDS, name: str = "Birch, Wool & Söhne", **changes: Any) -> bytes:
    headers = {
        "sender_name": name,
        "sender": "news@birch.example",
        "recipient": "alice@example.com",
        "reply_to": "help@birch.example",
        "code": "abc",
        "date": clock.now(),
    }
    return LEAVING + compose(Headers(**{**headers, **changes}), words)


def holds(mail: bytes, kind: str = "rsa") -> bool:
    return verifier.holds(mail, signer(kind).record)


@pytest.mark.parametrize("selector", verifier.SAMPLE_SIGNATURES)
def test_the_verifier_accepts_what_the_rfc_signed_and_nothing_else(selector: str) -> None:
    record = verifier.SAMPLE_RECORDS[selector]
    mail = verifier.SAMPLE_SIGNATURES[selector] + verifier.SAMPLE
    assert verifier.holds(mail.replace("\n", "\r\n").encode(), record)
    for before, after in (("hungry", "thirsty"), ("dinner", "lunch"), ("Joe Six", "Jim Six")):
        changed = mail.replace(before, after).replace("\n", "\r\n").encode()
        assert not verifier.holds(changed, record)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("body", ["", "a", "a \n", "\n\n", " \n\t\n", "a  b\t c \n \n\n", "ä\n.\n"])
def test_another_verifier_accepts_it(kind: str, body: str) -> None:
    mail = message(Words("Hi", body, body))
    header = signer(kind).sign(mail)
    assert header.endswith(b"\r\n") and max(map(len, header.split(b"\r\n"))) <= 80
    assert f"a={kind}-sha256".encode() in header
    assert holds(header + mail, kind)
    plain = b"From: a@birch.example\r\nSubject: x\r\n\r\n" + body.replace("\n", "\r\n").encode()
    assert holds(signer(kind).sign(plain) + plain, kind)


@pytest.mark.parametrize("kind", KEYS)
def test_what_was_signed_cant_be_changed_or_added_to(kind: str) -> None:
    mail = message()
    header = signer(kind).sign(mail)
    assert holds(header + mail, kind)
    for before, after in [
        (b"From: ", b"From: Eve "),
        (b"alice@", b"eve@"),
        (b"/u/token", b"/u/other"),
        (b"One-Click", b"Two-Click"),
        (b"Message-ID: <abc", b"Message-ID: <abd"),
        (b"multipart/alternative", b"multipart/mixed"),
        (b"Hello", b"Hullo"),
    ]:
        assert before in mail
        assert not holds(header + mail.replace(before, after, 1), kind), before
    for name in ("From: eve@birch.example", "Subject: x", "To: eve@x.example", "Reply-To: e@x.ex"):
        assert not holds(header + f"{name}\r\n".encode() + mail, kind), name


def test_spaces_that_servers_change_on_the_way_break_nothing() -> None:
    mail = message()
    header = signer("rsa").sign(mail)
    folded = mail.replace(b"To: alice", b"TO:\r\n\t alice").replace(b"\r\nDate: ", b"\r\nDate:   ")
    assert folded != mail
    assert holds(header + b"Received: from here\r\n" + folded + b"\r\n\r\n")


def test_only_mail_from_the_domain_or_below_it_is_signed() -> None:
    for sender in ("a@birch.example", "a@BIRCH.example", "a@news.birch.example"):
        assert signer("rsa").sign(message(sender=sender))
    others = ("a@example.com", "a@mybirch.example", "birch.example@example.com")
    for sender in others:
        assert signer("rsa").sign(message(sender=sender)) == b""
    assert signer("rsa").sign(message(sender="a@example.com", name="x@birch.example")) == b""
    assert signer("rsa").sign(b"From: a@birch.example\r\n" + message()) == b""


def test_the_body_is_relaxed_as_the_rfc_shows_it() -> None:
    # RFC 6376, 3.4.5
    assert relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"


@pytest.fixture
def signing(app: Flask) -> Iterator[Callable[[str], None]]:
    config, fork = app.extensions["startupwebapp"]

    def use(kind: str) -> None:
        values = {"dkim_private_key": PEMS[kind], "dkim_selector": "s2026"}
        changed = values | {"dkim_domain": "birch.example"}
        bind(app, config.model_copy(update=changed), fork)

    yield use
    bind(app, config, fork)


@pytest.mark.parametrize("kind", KEYS)
def test_transactional_mails_are_signed_too_and_the_record_is_printed(
    app: Flask, signing: Callable[[str], None], kind: str
) -> None:
    mail = post_words("n", "bob@example.com", WORDS, dedupe_key="n:1", subject_ref=None)
    other = post_words("n", "bob@example.com", WORDS, dedupe_key="n:2", subject_ref=None)
    bare = claim(mail.id)
    assert bare and b"DKIM-Signature" not in bare.envelope.content
    runner = app.test_cli_runner()
    assert "Mails are not signed" in runner.invoke(args=["mail", "dkim-record"]).output
    signing(kind)
    letter = claim(other.id)
    assert letter and letter.envelope.content.startswith(b"DKIM-Signature: ")
    assert holds(letter.envelope.content, kind)
    assert current_signer() is current_signer()
    line = runner.invoke(args=["mail", "dkim-record"]).output
    assert line.startswith('s2026._domainkey.birch.example. IN TXT "v=DKIM1; k=')
    strings = re.findall('"([^"]*)"', line)
    assert "".join(strings) == signer(kind).record
    assert max(map(len, strings)) <= 255


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"DKIM_PRIVATE_KEY": "-----BEGIN nonsense"}, "is not a private key in PEM"),
        ({"DKIM_SELECTOR": ""}, "needs DKIM_DOMAIN and DKIM_SELECTOR"),
        ({"DKIM_DOMAIN": "birch example"}, "names as they stand in DNS"),
        ({"DKIM_PRIVATE_KEY": OTHER}, "RSA key of 1024 bits or more"),
    ],
)
def test_the_app_does_not_start_with_half_a_signature(
    changes: dict[str, str], sentence: str
) -> None:
    good = {
        "APP_ENV": "test",
        "DKIM_PRIVATE_KEY": PEMS["rsa"].replace("\n", "\\n"),
        "DKIM_DOMAIN": "birch.example",
        "DKIM_SELECTOR": "s2026",
    }
    assert load_config(good).dkim_selector == "s2026"
    with pytest.raises(ConfigError, match=sentence) as refused:
        load_config(good | changes)
    assert "nonsense" not in str(refused.value)
