"""What a request says of its own host never gets into a mail, a link or a redirect."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from tests.attacks.cast import ALICE, PASSWORD, Cast
from tests.attacks.intruder import Intruder
from tests.attacks.routes import open_routes
from tests.other_apps import MakeApp
from webapp.core.db import db
from webapp.core.models import Job
from webapp.core.queue import due_job_ids, perform
from webapp.core.state import current_config, current_fork
from webapp.messaging.models import Mail

HEADERS = [
    {"Host": "evil.example"},
    {"Host": "localhost:80@evil.example"},
    {"Host": "evil.example:80"},
    {"X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-Host": "localhost, evil.example"},
    {"X-Host": "evil.example", "X-Original-Host": "evil.example"},
    {"Forwarded": "host=evil.example;proto=https"},
    {"X-Forwarded-Server": "evil.example", "X-HTTP-Host-Override": "evil.example"},
    {"X-Forwarded-Proto": "evil", "X-Forwarded-Prefix": "//evil.example"},
    {"X-Original-URL": "//evil.example/", "X-Rewrite-URL": "//evil.example/"},
]
MAILING = {
    "reset": ("guest", "/password/forgot", {"email": ALICE}),
    "registration": (
        "guest",
        "/register",
        {"email": "carol@example.com", "password": PASSWORD, "agree": "y"},
    ),
    "a second registration": (
        "guest",
        "/register",
        {"email": ALICE, "password": "Other-Harbour-43", "agree": "y"},
    ),
    "email change": ("bob", "/account/email", {"email": "carol@example.com"}),
    "export": ("bob", "/account/data/export", {}),
    "new password": (
        "bob",
        "/account/password",
        {"current": PASSWORD, "password": "Other-Harbour-43"},
    ),
    "closing": ("bob", "/account/data/close", {"confirmation": "delete"}),
}


def run_all_but_deliveries() -> None:
    """Run the jobs that write mails; sending one removes a secret body."""
    for _ in range(5):
        for job_id in due_job_ids():
            path = db.session.get_one(Job, job_id).path
            # The job's own session must not end up within this one's savepoint.
            db.session.remove()
            if path != "jobs.messaging.deliver":
                perform(current_fork().name, job_id)


def mails() -> list[Mail]:
    return list(db.session.scalars(select(Mail)))


@pytest.mark.parametrize("hops", [0, 1])
@pytest.mark.parametrize("kind", MAILING)
def test_links_in_mails_lead_to_us_whatever_the_host_said(
    cast: Cast, make_app: MakeApp, kind: str, hops: int
) -> None:
    other = make_app(trusted_hops=hops)
    other.config["WTF_CSRF_ENABLED"] = False
    name, path, fields = MAILING[kind]
    db.session.query(Mail).delete()
    db.session.commit()
    there = Cast(other, cast.people)
    for headers in HEADERS:
        browser = there.browser(name)
        if kind == "registration":
            fields = fields | {"email": f"carol{len(mails())}@example.com"}
        browser.post(path, data=fields, headers=headers)
    run_all_but_deliveries()
    written = mails()
    assert written, f"{kind} wrote no mail: the attack proves nothing"
    base = current_config().base_url
    for mail in written:
        everything = f"{mail.subject}\n{mail.text}\n{mail.html}\n{mail.sender}\n{mail.reply_to}"
        assert "evil.example" not in everything, mail.kind
        for link in re.findall(r"https?://[^\s\"'<>)]+", mail.text):
            assert link.startswith(base), (mail.kind, link)


@pytest.mark.parametrize("name", ["guest", "alice", "owner"])
def test_no_page_repeats_the_host_it_was_asked_by(app: Flask, cast: Cast, name: str) -> None:
    """A cache in between would serve the page with the attacker's address to everybody."""
    browser = cast.browser(name)
    wrong, shown = [], 0
    for route in open_routes(app):
        if "GET" not in route.methods:
            continue
        for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}):
            answer = browser.get(route.address(), headers=headers)
            carried = f"{answer.headers}" + (answer.text if answer.mimetype != "image/x" else "")
            shown += answer.status_code == 200
            if "evil.example" in carried:
                wrong.append(f"{route.rule} with {headers}: {answer.status}")
    assert wrong == []
    assert shown > 20, "hardly a page was shown: the attack proves nothing"


def test_redirects_over_a_trusted_proxy_stay_relative(cast: Cast, make_app: MakeApp) -> None:
    other = make_app(trusted_hops=1)
    browser = Intruder(other, other.response_class)
    answer = browser.get("/account", headers={"X-Forwarded-Host": "evil.example"})
    assert answer.location.startswith("/login")
