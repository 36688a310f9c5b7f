"""The mailbox catches what the shop sends and shows it without trusting it."""

import json
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests


@dataclass(frozen=True, slots=True)
class Mailbox:
    process: subprocess.Popen[str]
    smtp: tuple[str, int]
    url: str

    def send(self, message: EmailMessage, to: list[str] | None = None) -> None:
        with smtplib.SMTP(*self.smtp) as client:
            client.send_message(message, to_addrs=to)

    def messages(self, **query: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/messages", params=query, timeout=60)
        found: list[dict[str, Any]] = answer.json()
        return found

    def refuse(self, **rule: object) -> requests.Response:
        return requests.post(f"{self.url}/api/control", json=rule, timeout=60)


def start(folder: Path) -> Mailbox:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.mailbox", "--state", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    addresses = json.loads(process.stdout.readline())
    smtp = urlsplit(addresses["smtp"])
    return Mailbox(process, (str(smtp.hostname), int(smtp.port or 0)), addresses["url"])


def stop(mailbox: Mailbox) -> None:
    mailbox.process.terminate()
    assert mailbox.process.wait(10) == 0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    mailbox = start(tmp_path_factory.mktemp("mailbox"))
    yield mailbox
    stop(mailbox)


@pytest.fixture
def mailbox(running: Mailbox) -> Mailbox:
    requests.delete(f"{running.url}/api/messages", timeout=60)
    requests.delete(f"{running.url}/api/control", timeout=60)
    return running


def mail(to: str = "alice@example.org", subject: str = "Your order") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Shop <shop@example.org>"
    message["To"] = to
    message["Subject"] = subject
    message.set_content("Thank you, see http://127.0.0.1:1/orders/1\n")
    message.add_alternative("<p>Thank <b>you</b></p>", subtype="html")
    return message


def test_a_mail_comes_out_as_json_with_exactly_these_keys(mailbox: Mailbox) -> None:
    mailbox.send(mail(subject="Grüße aus dem Lädchen"))
    (caught,) = mailbox.messages()
    assert list(caught) == [
        "id",
        "from",
        "to",
        "subject",
        "headers",
        "text",
        "html",
        "received_at",
    ]
    assert caught["from"] == "Shop <shop@example.org>"
    assert caught["to"] == ["alice@example.org"]
    assert caught["subject"] == "Grüße aus dem Lädchen"
    assert caught["headers"]["To"] == "alice@example.org"
    assert "Thank you" in caught["text"]
    assert "<b>you</b>" in caught["html"]
    assert caught["received_at"].endswith("+00:00")
    one = requests.get(f"{mailbox.url}/api/messages/{caught['id']}", timeout=60).json()
    assert one == caught


def test_messages_are_found_by_recipient_newest_last(mailbox: Mailbox) -> None:
    mailbox.send(mail("alice@example.org", "first"))
    mailbox.send(mail("bob@example.org", "second"))
    mailbox.send(mail("alice@example.org", "third"), to=["Alice@Example.org", "c@example.org"])
    subjects = [message["subject"] for message in mailbox.messages(to="ALICE@example.org")]
    assert subjects == ["first", "third"]
    assert mailbox.messages(to="lice@example.org") == []
    assert [message["subject"] for message in mailbox.messages(to="c@example.org")] == ["third"]


def test_mail_survives_a_restart(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.send(mail())
    first.process.kill()
    first.process.wait()
    second = start(tmp_path)
    try:
        assert [message["subject"] for message in second.messages()] == ["Your order"]
    finally:
        stop(second)


def test_deleting_empties_it(mailbox: Mailbox) -> None:
    mailbox.send(mail())
    assert requests.delete(f"{mailbox.url}/api/messages", timeout=60).json() == {"deleted": 1}
    assert mailbox.messages() == []


def test_it_refuses_as_often_as_told(mailbox: Mailbox) -> None:
    assert mailbox.refuse(reply="451 try later", times=2, at="data").status_code == 201
    for _ in range(2):
        with pytest.raises(smtplib.SMTPDataError, match="try later"):
            mailbox.send(mail())
    mailbox.send(mail())
    assert len(mailbox.messages()) == 1


def test_it_refuses_one_recipient_and_takes_the_others(mailbox: Mailbox) -> None:
    mailbox.refuse(reply="550 no such user", to="Bob@example.org")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        mailbox.send(mail("bob@example.org"))
    assert refused.value.recipients["bob@example.org"][0] == 550
    mailbox.send(mail("bob@example.org"), to=["bob@example.org", "alice@example.org"])
    (caught,) = mailbox.messages()
    assert caught["to"] == ["alice@example.org"]


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"reply": "250 fine"},
        {"reply": "451 a\r\nb"},
        {"reply": "451 x", "times": 0},
        {"reply": "451 x", "at": "noon"},
    ],
)
def test_a_senseless_wish_is_answered_with_a_sentence(
    mailbox: Mailbox, rule: dict[str, object]
) -> None:
    answer = mailbox.refuse(**rule)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_rubbish_on_the_wire_gets_a_5xx_and_hurts_nobody(mailbox: Mailbox) -> None:
    with socket.create_connection(mailbox.smtp) as wire:
        talk = wire.makefile("rwb", buffering=0)
        assert talk.readline().startswith(b"220")
        for line, code in ((b"\xff\xfe\x00 what", b"500"), (b"RCPT TO:<a@b>", b"503")):
            talk.write(line + b"\r\n")
            assert talk.readline().startswith(code)
    with smtplib.SMTP(*mailbox.smtp) as client:
        client.ehlo()
        client.mail("a@example.org")
        assert client.rcpt("nonsense")[0] == 553
    mailbox.send(mail())
    assert len(mailbox.messages()) == 1


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"no headers at all",
        b"Subject: =?utf-8?b?////?=\r\n\r\nx",
        b"Content-Type: text/plain; charset=made-up\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"From: <<<>>> broken\r\nTo: (((\r\nDate: never\r\n\r\nx",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%not base64",
    ],
)
def test_a_broken_mail_is_caught_and_shown(mailbox: Mailbox, source: bytes) -> None:
    with smtplib.SMTP(*mailbox.smtp) as client:
        client.sendmail("a@example.org", ["alice@example.org"], source)
    (caught,) = mailbox.messages()
    for view in ("html", "text", "headers", "source"):
        page = requests.get(
            f"{mailbox.url}/messages/{caught['id']}", params={"view": view}, timeout=60
        )
        assert page.status_code == 200


def test_a_mails_html_can_run_nothing(mailbox: Mailbox) -> None:
    hostile = mail(subject="<script>alert(1)</script>")
    mailbox.send(hostile)
    (caught,) = mailbox.messages()
    assert "<script>alert" not in requests.get(mailbox.url, timeout=60).text
    page = requests.get(f"{mailbox.url}/messages/{caught['id']}", timeout=60)
    assert "<b>you</b>" not in page.text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    framed = requests.get(f"{mailbox.url}/messages/{caught['id']}/html", timeout=60)
    assert "<b>you</b>" in framed.text
    policy = framed.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy


def test_pictures_inside_a_mail_and_attachments_are_reachable(mailbox: Mailbox) -> None:
    message = mail()
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="bill.pdf")
    html = message.get_body(("html",))
    assert html is not None
    html.set_content('<img src="cid:logo">', subtype="html")
    html.add_related(b"\x89PNG", maintype="image", subtype="png", cid="<logo>")
    mailbox.send(message)
    (caught,) = mailbox.messages()
    base = f"{mailbox.url}/messages/{caught['id']}"
    page = requests.get(f"{base}/html", timeout=60).text
    picture = page.split('src="')[1].split('"')[0]
    assert requests.get(mailbox.url + picture, timeout=60).content == b"\x89PNG"
    assert "bill.pdf" in requests.get(base, timeout=60).text


def test_the_page_searches_and_says_when_nothing_is_there(mailbox: Mailbox) -> None:
    assert "No mail yet" in requests.get(mailbox.url, timeout=60).text
    mailbox.send(mail("alice@example.org", "For 100% of Alice"))
    mailbox.send(mail("bob@example.org", "For Bob"))
    page = requests.get(mailbox.url, params={"q": "100%"}, timeout=60).text
    assert "For 100% of Alice" in page
    assert "For Bob" not in page


def test_other_sites_cannot_reach_in(mailbox: Mailbox) -> None:
    rebound = requests.get(mailbox.url, headers={"Host": "evil.example:80"}, timeout=60)
    assert rebound.status_code == 403
    posted = requests.post(
        f"{mailbox.url}/clear", headers={"Sec-Fetch-Site": "cross-site"}, timeout=60
    )
    assert posted.status_code == 403
