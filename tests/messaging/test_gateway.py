"""What SMTP_URL can name, and what goes over the wire."""

import email
import shutil
import ssl
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.messaging.sink import Sink
from webapp.messaging.errors import InvalidHeader, InvalidSmtpUrl
from webapp.messaging.gateway import Envelope, Handover, Outcome, lines, open_gateway
from webapp.messaging.gateway.servers import Server
from webapp.messaging.services.composing import Headers, Words, compose

ENVELOPE = Envelope("code-1", "shop@example.org", "alice@example.org", b"Subject: x\r\n\r\nHi\r\n")


def hand(url: str, envelope: Envelope = ENVELOPE, *, wanted: bool = True) -> Handover:
    return open_gateway(url).hand_over(envelope, lambda: wanted)


def test_dots_survive(sink: Sink) -> None:
    content = b"Subject: x\r\n\r\n.\r\n..\r\n.hidden\r\nend"
    hand(sink.url, Envelope("c", "shop@example.org", "alice@example.org", content))
    assert sink.messages[0].content == content + b"\r\n"


def test_a_burst_uses_one_connection_and_no_needless_commands(sink: Sink) -> None:
    for _ in range(20):
        assert hand(sink.url).outcome is Outcome.ACCEPTED
    assert sink.connections == 1
    assert len(sink.messages) == 20
    assert [line[:4] for line in sink.commands[-3:]] == ["MAIL", "RCPT", "DATA"]


def test_a_connection_the_server_dropped_costs_no_try(sink: Sink) -> None:
    hand(sink.url)
    sink.hang_up()
    assert hand(sink.url).outcome is Outcome.ACCEPTED
    sink.cue("MAIL", "421 enough for one session")
    assert hand(sink.url).outcome is Outcome.ACCEPTED
    assert sink.connections == 3
    assert len(sink.messages) == 3


def test_an_idle_connection_is_asked_first(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "IDLE_SECONDS", 0)
    hand(sink.url)
    hand(sink.url)
    assert "NOOP" in sink.commands
    sink.cue("NOOP", "421 timed out")
    hand(sink.url)
    assert sink.connections == 2


@pytest.mark.parametrize("limit", ["MAX_AGE_SECONDS", "MAX_MAILS"])
def test_a_connection_grows_old(sink: Sink, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(lines, limit, 0)
    hand(sink.url)
    hand(sink.url)
    assert sink.connections == 2


def test_calling_it_off_leaves_nothing(sink: Sink, tmp_path: Path) -> None:
    assert hand(sink.url, wanted=False).outcome is Outcome.WITHDRAWN
    assert hand(f"file://{tmp_path}/mail", wanted=False).outcome is Outcome.WITHDRAWN
    assert hand("null://", wanted=False).outcome is Outcome.WITHDRAWN
    assert sink.messages == []
    assert list((tmp_path / "mail").iterdir()) == []


def test_a_folder_and_nothing_at_all_take_mail_too(tmp_path: Path) -> None:
    assert hand(f"file://{tmp_path}/mail").outcome is Outcome.ACCEPTED
    assert [f.name for f in (tmp_path / "mail").iterdir()] == ["code-1.eml"]
    assert (tmp_path / "mail" / "code-1.eml").read_bytes() == ENVELOPE.content
    assert hand("null://").outcome is Outcome.ACCEPTED


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert hand(f"file://{tmp_path}/taken/mail").outcome is Outcome.DEFERRED


@pytest.mark.parametrize("url", ["", "http://x", "smtp://", "smtp://h:port", "file://", "smtp:h"])
def test_an_address_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(InvalidSmtpUrl):
        open_gateway(url)


def test_an_international_address_needs_a_server_that_takes_it(sink: Sink) -> None:
    envelope = Envelope("c", "shop@example.org", "jürgen@example.org", b"Subject: x\r\n\r\n")
    assert hand(sink.url, envelope).outcome is Outcome.REFUSED
    able = Sink(extensions=("SMTPUTF8", "8BITMIME")).start()
    assert hand(able.url, envelope).outcome is Outcome.ACCEPTED
    assert able.messages[0].recipient == "jürgen@example.org"
    able.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, chain = str(folder / "key.pem"), str(folder / "cert.pem")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=sink"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain),
        ],
        check=True,
        capture_output=True,
    )
    return chain, key


@pytest.fixture
def tls(certificate: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def trusted(certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])


def test_starttls_is_taken_where_offered(tls: ssl.SSLContext) -> None:
    sink = Sink(extensions=("STARTTLS",), tls=tls).start()
    assert hand(sink.url).outcome is Outcome.ACCEPTED
    assert "STARTTLS" in sink.commands
    sink.stop()


def test_starttls_can_be_demanded(sink: Sink) -> None:
    handover = hand(f"smtp+starttls://127.0.0.1:{sink.port}")
    assert handover.outcome is Outcome.DEFERRED
    assert "STARTTLS" in handover.reply
    assert not any(line.startswith("MAIL") for line in sink.commands)


def test_a_certificate_nobody_vouches_for_is_not_trusted(tls: ssl.SSLContext) -> None:
    sink = Sink(extensions=("STARTTLS", "AUTH PLAIN"), tls=tls).start()
    handover = hand(f"smtp+starttls://alice:secret@127.0.0.1:{sink.port}")
    assert handover.outcome is Outcome.DEFERRED
    assert not any(line.startswith("AUTH") for line in sink.commands)
    sink.stop()


def test_it_logs_in_over_an_encrypted_line(tls: ssl.SSLContext, trusted: None) -> None:
    sink = Sink(extensions=("STARTTLS", "AUTH PLAIN"), tls=tls).start()
    url = f"smtp+starttls://alice%40shop:p%3Ass@127.0.0.1:{sink.port}"
    assert hand(url).outcome is Outcome.ACCEPTED
    assert "AUTH PLAIN AGFsaWNlQHNob3AAcDpzcw==" in sink.commands
    sink.stop()
    sink = Sink(extensions=("AUTH PLAIN",), tls=tls, tls_from_start=True).start()
    assert hand(f"smtps://alice:secret@127.0.0.1:{sink.port}").outcome is Outcome.ACCEPTED
    sink.stop()


def test_a_wrong_password_is_tried_again_later(sink: Sink) -> None:
    sink.extensions = ("AUTH PLAIN",)
    sink.cue("AUTH", "535 5.7.8 wrong password")
    handover = hand(f"smtp://alice:secret@127.0.0.1:{sink.port}")
    assert handover.outcome is Outcome.DEFERRED
    assert handover.status == "535"


def test_a_password_never_travels_in_clear(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "is_local", False)
    sink.extensions = ("AUTH PLAIN",)
    assert hand(f"smtp://alice:secret@127.0.0.1:{sink.port}").outcome is Outcome.DEFERRED
    assert not any(line.startswith("AUTH") for line in sink.commands)


HEADERS = Headers(
    sender_name='Käthe & "Söhne", Nähstube',
    sender="laden@xn--bcher-kva.example",
    recipient="alice@example.org",
    reply_to="hilfe@example.org",
    code="abc_-123",
    date=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def read(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=policy.default)


def test_the_message_says_who_wrote_it_and_that_a_machine_did() -> None:
    words = Words("Größe „XL“ 🎉" + " lang" * 30, "Grüße\n", "<p>Grüße</p>\n")
    content = compose(HEADERS, words)
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    message = read(content)
    sender = message["From"].addresses[0]
    assert (sender.display_name, sender.addr_spec) == (HEADERS.sender_name, HEADERS.sender)
    assert message["Subject"] == words.subject
    assert message["Message-ID"] == "<abc_-123@xn--bcher-kva.example>"
    assert message["Date"].datetime == HEADERS.date
    assert message["To"] == "alice@example.org"
    assert message["Reply-To"] == "hilfe@example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert (text.get_content(), html.get_content()) == ("Grüße\r\n", "<p>Grüße</p>\r\n")


@pytest.mark.parametrize("field", ["sender_name", "sender", "recipient", "reply_to", "code"])
def test_no_header_can_carry_another(field: str) -> None:
    smuggled: dict[str, Any] = {field: "a@example.org\r\nBcc: all@example.org"}
    evil = replace(HEADERS, **smuggled)
    with pytest.raises(InvalidHeader):
        compose(evil, Words("s", "t", "h"))
    with pytest.raises(InvalidHeader):
        compose(HEADERS, Words("s\r\nBcc: all@example.org", "t", "h"))


def test_long_names_and_domains_stay_whole() -> None:
    domain = ".".join(["a-long-label-of-a-domain"] * 5) + ".example"
    long = replace(HEADERS, sender=f"{'shop' * 10}@{domain}", sender_name="Ein langer Name ß" * 9)
    message = read(compose(long, Words("s", "t", "h")))
    assert message["From"].addresses[0].addr_spec == long.sender
    assert message["Message-ID"] == f"<abc_-123@{domain}>"
