"""A copy of one's data: everything, for its owner alone, once, for some days."""

import io
import json
import os
import re
import shutil
import stat
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.privacy import delete_old_exports, export
from tests.factories.lives import ALICE, BOB, Life, RunJobs
from tests.factories.orders import make_orders, member_id_of
from tests.factories.people import browser_of, make_user
from tests.factories.sales import StripeDesk
from webapp.accounts.errors import ExportUnderWay, TooManyExports
from webapp.accounts.models import DataExport, EmailChange, ExportState, User
from webapp.accounts.services import exporting
from webapp.accounts.services.contact import Inquiry, receive
from webapp.accounts.services.exporting import ask_for_copy, folder, token_of
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.messaging.models import Mail

CHAPTERS = {
    *("profile", "addresses", "orders", "mails", "consents", "sessions", "sign_in_methods"),
    *("terms", "activity", "events", "contact_messages", "notes", "carts"),
    *("newsletters", "opens_and_clicks", "unsubscribes", "follow_ups", "tags", "tracking"),
    *("suppressions", "bounces"),
    *("billing", "subscriptions", "invoices"),
}


@pytest.fixture(autouse=True)
def _no_files(app: Flask) -> Iterator[None]:
    """Uploads outlive a test's database."""
    yield
    shutil.rmtree(folder(), ignore_errors=True)


def read(content: bytes) -> dict[str, Any]:
    """Return the chapters of a copy by name; the README as text."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        found: dict[str, Any] = {"README": archive.read("README.txt").decode()}
        for name in archive.namelist():
            if name.endswith(".json"):
                found[name.removesuffix(".json")] = json.loads(archive.read(name))
    return found


def copies(user: User) -> list[DataExport]:
    statement = select(DataExport).where(DataExport.user_id == user.id)
    return list(db.session.scalars(statement.order_by(DataExport.created_at)))


def make_copy(user: User, run_jobs: RunJobs) -> DataExport:
    ask_for_copy(user, SYSTEM)
    db.session.commit()
    run_jobs()
    db.session.commit()
    return db.session.get_one(DataExport, copies(user)[-1].id, populate_existing=True)


def content_of(copy: DataExport) -> bytes:
    return (folder() / (copy.file_name or "")).read_bytes()


def mails(kind: str = "export_ready") -> list[Mail]:
    return list(db.session.scalars(select(Mail).where(Mail.kind == kind)))


def test_the_copy_holds_everything_we_know(
    client: FlaskClient, stripe_desk: StripeDesk, run_jobs: RunJobs, app: Flask
) -> None:
    Life(BOB, app.test_client(), stripe_desk, run_jobs).live()
    alice = Life(ALICE, client, stripe_desk, run_jobs).live()
    (copy,) = copies(alice)
    content = content_of(copy)
    told = read(content)
    assert set(told) == CHAPTERS | {"README"}
    assert all(told.values()), [name for name, rows in told.items() if not rows]

    assert told["profile"]["account"]["email"] == ALICE.email
    assert told["profile"]["member"]["name"] == ALICE.name
    assert told["addresses"][0]["line1"] == ALICE.street
    assert {order["email"] for order in told["orders"]} == {ALICE.email, ALICE.former_email}
    order = told["orders"][-1]
    assert order["payment"][0]["amount"] == order["total_amount"]
    assert order["lines"][0]["unit_amount"] == 2500
    assert order["shipments"][0]["tracking_number"] == ALICE.tracking
    assert order["shipments"][0]["lines"][0]["quantity"] == 1
    assert order["refunds"][0]["amount"] == 100
    assert order["shipping_address"][0]["city"] == ALICE.city
    assert {"order_confirmation", "order_shipped"} <= {mail["kind"] for mail in told["mails"]}
    assert {row["topic"] for row in told["consents"]} == {"newsletter", "offers"}
    assert told["sessions"][0]["network"].startswith(ALICE.network)
    assert told["sign_in_methods"]["passkeys"][0]["name"] == ALICE.device
    assert told["sign_in_methods"]["accounts_elsewhere"][0]["email"] == ALICE.email
    assert told["sign_in_methods"]["recovery_codes_left"] == 1
    assert told["terms"][0]["version"] == "1"
    assert "session.opened" in {row["action"] for row in told["activity"]}
    assert told["events"][0]["label"] == ALICE.name
    assert told["contact_messages"][0]["text"] == f"Send it to {ALICE.street}"
    assert told["notes"][0]["text"] == f"{ALICE.last} is kind."
    assert any(cart["lines"] and cart["lines"][0]["title"] for cart in told["carts"])
    addresses = {ALICE.email, ALICE.former_email}
    assert {mail["address"] for mail in told["newsletters"]} == addresses
    assert len(told["newsletters"]) == 4
    assert told["newsletters"][0]["fields"]["first_name"] == ALICE.name
    assert {row["kind"] for row in told["opens_and_clicks"]} == {"open", "click"}
    assert "http://localhost/products" in {row["url"] for row in told["opens_and_clicks"]}
    assert told["unsubscribes"][0]["comment"] == f"{ALICE.name} of {ALICE.city} goes"
    assert {run["address"] for run in told["follow_ups"]} == addresses
    assert {row["tag"] for row in told["tags"]} == {ALICE.name.lower()}
    assert told["tracking"] == [{"address": a, "recorded": False} for a in sorted(addresses)]
    assert {row["reason"] for row in told["suppressions"]} == {"complaint"}
    assert "no such user" in told["bounces"][0]["diagnostic"]
    for chapter in CHAPTERS:
        assert f"{chapter}.json" in told["README"]

    said = json.dumps(told)
    assert not [mark for mark in BOB.marks if mark in said], "nobody else's"
    assert "dana@example.com" not in said, "staff are other people"
    for secret in ("-totp", "-public", "-credential", "-code", "argon2", "secret_hash"):
        assert secret not in said


def test_a_copy_tells_of_the_mail_about_the_one_before_and_not_its_link(
    client: FlaskClient, run_jobs: RunJobs
) -> None:
    alice = make_user(ALICE.email)
    make_copy(alice, run_jobs)
    with clock.frozen(clock.now() + timedelta(days=8)):
        told = read(content_of(make_copy(alice, run_jobs)))
    before = [mail for mail in told["mails"] if mail["kind"] == "export_ready"]
    assert [mail["text"] for mail in before] == [None]


def test_it_is_asked_for_on_a_page_and_comes_by_mail(
    app: Flask, client: FlaskClient, run_jobs: RunJobs
) -> None:
    alice = make_user("alice@example.com")
    browser = browser_of(app, alice)
    assert "Ask for a copy" in browser.get("/account/data").text
    assert browser.post("/account/data/export").location == "/account/data"
    assert "being made" in browser.get("/account/data").text
    run_jobs()
    db.session.commit()
    (mail,) = mails()
    (copy,) = copies(alice)
    assert (mail.recipient, mail.secret) == ("alice@example.com", True)
    path = f"/export/{token_of(copy)}"
    page = browser.get("/account/data").text
    assert path in page
    answer = browser.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=my-data-")
    assert read(answer.data)["profile"]["account"]["email"] == "alice@example.com"
    actions = select(AuditEntry.action).where(AuditEntry.user_id == alice.id)
    assert {"export.requested", "export.downloaded"} <= set(db.session.scalars(actions))


def test_it_opens_for_its_owner_alone(app: Flask, client: FlaskClient, run_jobs: RunJobs) -> None:
    alice, bob = make_user("alice@example.com"), make_user("bob@example.com")
    copy = make_copy(alice, run_jobs)
    path = f"/export/{token_of(copy)}"
    assert client.get(path).location.startswith("/login")
    assert browser_of(app, bob).get(path).status_code == 404
    assert browser_of(app, alice).get(f"/export/{copy.id}").status_code == 404
    assert browser_of(app, alice).get(path + "x").status_code == 404
    assert client.get(f"/media/pictures/../exports/{copy.file_name}").status_code == 404
    assert stat.S_IMODE((folder() / (copy.file_name or "")).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder().stat().st_mode) == 0o700


def test_whoever_finds_an_open_browser_has_to_show_who_they_are(
    app: Flask, client: FlaskClient, run_jobs: RunJobs
) -> None:
    alice = make_user("alice@example.com")
    path = f"/export/{token_of(make_copy(alice, run_jobs))}"
    with clock.frozen(clock.now() - timedelta(hours=2)):
        browser = browser_of(app, alice)
    answer = browser.get(path)
    assert answer.status_code == 303
    assert answer.location.startswith("/account/prove")


def test_one_at_a_time_and_three_a_day(app: Flask, client: FlaskClient, run_jobs: RunJobs) -> None:
    alice = make_user("alice@example.com")
    ask_for_copy(alice, SYSTEM)
    db.session.commit()
    with pytest.raises(ExportUnderWay):
        ask_for_copy(alice, SYSTEM)
    again = browser_of(app, alice).post("/account/data/export")
    assert (again.status_code, "being made already" in again.text) == (409, True)
    run_jobs()
    db.session.commit()
    for _ in range(2):
        make_copy(alice, run_jobs)
    with pytest.raises(TooManyExports):
        ask_for_copy(alice, SYSTEM)
    with clock.frozen(clock.now() + timedelta(days=1, minutes=1)):
        ask_for_copy(alice, SYSTEM)


def test_one_that_was_never_made_stands_in_the_way_of_the_next_for_a_day(
    app: Flask, client: FlaskClient
) -> None:
    alice = make_user("alice@example.com")
    button = re.compile(r"<button[^>]*>Ask for a copy")

    def offered() -> bool:
        (found,) = button.findall(browser_of(app, alice).get("/account/data").text)
        return "disabled" not in found

    assert offered()
    ask_for_copy(alice, SYSTEM)
    db.session.commit()
    assert not offered()
    with clock.frozen(clock.now() + timedelta(days=1, minutes=1)):
        assert offered()
        assert browser_of(app, alice).post("/account/data/export").status_code == 303


def test_after_a_week_it_is_gone(app: Flask, client: FlaskClient, run_jobs: RunJobs) -> None:
    alice = make_user("alice@example.com")
    copy = make_copy(alice, run_jobs)
    path = f"/export/{token_of(copy)}"
    delete_old_exports()
    assert browser_of(app, alice).get(path).status_code == 200
    copy.expires_at = clock.now()
    db.session.commit()
    assert browser_of(app, alice).get(path).status_code == 410
    delete_old_exports()
    assert list(folder().iterdir()) == []
    assert db.session.get_one(DataExport, copy.id, populate_existing=True).state == "deleted"
    assert browser_of(app, alice).get(path).status_code == 410
    assert "Its time is over" in browser_of(app, alice).get("/account/data").text


class Killed(BaseException):
    """What no ``except Exception`` catches, like the end of the process."""


def kill_after(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
    done = getattr(place, name)

    def die(*args: Any, **kwargs: Any) -> None:
        done(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(place, name, die)


@pytest.mark.parametrize("step", ["write_copy", "finish_copy"])
def test_killed_in_the_middle_and_run_again_it_is_one_file_and_one_mail(
    app: Flask, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    alice = make_user("alice@example.com")
    copy = ask_for_copy(alice, SYSTEM)
    db.session.commit()
    kill_after(monkeypatch, exporting, step)
    with pytest.raises(Killed):
        export(str(copy.id))
    db.session.rollback()
    monkeypatch.undo()
    assert mails() == []
    assert copies(alice)[0].state is ExportState.REQUESTED
    for _ in range(2):
        export(str(copy.id))
    assert len(mails()) == 1
    assert copies(alice)[0].state is ExportState.READY
    delete_old_exports()
    assert [path.name for path in folder().iterdir()] == [f"{copy.id}.zip"]
    assert read(content_of(copies(alice)[0]))["profile"]


def test_what_breaks_off_leaves_no_half_file(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = make_user("alice@example.com")
    copy = ask_for_copy(alice, SYSTEM)
    db.session.commit()

    def broken(*_args: object) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr("webapp.orders.services.privacy.chapters", broken)
    with pytest.raises(RuntimeError):
        export(str(copy.id))
    assert list(folder().iterdir()) == []


def test_files_nobody_knows_are_swept(app: Flask, run_jobs: RunJobs) -> None:
    alice = make_user("alice@example.com")
    kept = make_copy(alice, run_jobs)
    at_work = ask_for_copy(alice, SYSTEM)
    db.session.commit()
    for name in ("stray.zip", f"{at_work.id}.fresh.part", f"{at_work.id}.old.part"):
        (folder() / name).touch()
    long_ago = time.time() - 7 * 3600
    os.utime(folder() / f"{at_work.id}.old.part", (long_ago, long_ago))
    delete_old_exports()
    left = {path.name for path in folder().iterdir()}
    assert left == {kept.file_name, f"{at_work.id}.fresh.part"}


def test_an_address_never_shown_gets_no_mail_and_no_data_of_its_owner(
    app: Flask, client: FlaskClient, stripe_desk: StripeDesk, run_jobs: RunJobs
) -> None:
    """Somebody typed her address when registering: their copy is about themselves alone."""
    Life(ALICE, client, stripe_desk, run_jobs).live()
    typed = make_user(ALICE.email, verified=False)
    copy = make_copy(typed, run_jobs)
    told = read(content_of(copy))
    for chapter in CHAPTERS - {"profile", "sign_in_methods", "activity"}:
        assert told[chapter] == [], chapter
    assert told["profile"]["met_before"] == []
    ready = select(Mail.recipient).where(Mail.dedupe_key == f"export_ready:{copy.id}")
    assert db.session.scalars(ready).all() == []
    assert f"/export/{token_of(copy)}" in browser_of(app, typed).get("/account/data").text


def test_two_who_had_one_address_are_told_nothing_of_each_other(
    app: Flask, client: FlaskClient, run_jobs: RunJobs
) -> None:
    alice, former = make_user("alice@example.com"), "alice@example.com"
    receive(Inquiry("Alice", former, "A question", "Where is my parcel?"))
    asked = clock.now() - timedelta(days=2)
    alice.email = "alice@example.org"
    moved = EmailChange(
        user_id=alice.id,
        old_email=former,
        new_email=alice.email,
        created_at=asked,
        old_confirmed_at=asked + timedelta(hours=1),
        expires_at=asked + timedelta(days=1),
        done_at=asked + timedelta(hours=1),
    )
    db.session.add(moved)
    db.session.commit()

    def told(user: User) -> str:
        found = read(content_of(make_copy(user, run_jobs)))
        return json.dumps(
            [found["contact_messages"], found["profile"]["met_before"], found["mails"]]
        )

    def write(user: User, words: str) -> None:
        mail = {"kind": "notice", "sender": "shop@example.com", "html": "", "text": words}
        about = f"user:{user.id}"
        db.session.add(
            Mail(
                dedupe_key=words,
                code=words,
                recipient=former,
                subject=words,
                subject_ref=about,
                **mail,
            )
        )

    write(alice, "Alice's key was changed.")
    of_alice = told(alice)
    assert "Where is my parcel?" in of_alice
    assert "Alice's key was changed." in of_alice
    bob = make_user(former)
    write(bob, "Welcome here.")
    receive(Inquiry("Bob", former, "Hello", "I moved in here."))
    db.session.commit()
    of_alice, of_bob = told(alice), told(bob)
    assert "I moved in here." not in of_alice
    assert "Welcome here." not in of_alice
    assert "Where is my parcel?" not in of_bob
    assert "Alice" not in of_bob
    assert "Welcome here." in of_bob


def test_memory_stays_flat_with_ten_thousand_orders(app: Flask, session: Session) -> None:
    alice = make_user("alice@example.com")

    def peak_of() -> tuple[int, int]:
        copy = ask_for_copy(alice, SYSTEM)
        db.session.commit()
        tracemalloc.start()
        with app.app_context():
            export(str(copy.id))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        session.expire_all()
        made = session.get_one(DataExport, copy.id)
        return peak, len(read(content_of(made))["orders"])

    make_orders(500, member_id=member_id_of(alice))
    few, count = peak_of()
    assert count == 500
    make_orders(9500, member_id=member_id_of(alice), first_number=10_000)
    many, count = peak_of()
    assert count == 10_000
    assert many < 1.5 * few + (4 << 20), (few, many)


def test_the_operator_asks_for_somebody(app: Flask, run_jobs: RunJobs) -> None:
    from webapp.accounts.commands import member

    alice = make_user("alice@example.com")
    runner = app.test_cli_runner()
    assert runner.invoke(member, ["export", "nobody@example.com"]).exit_code == 1
    said = runner.invoke(member, ["export", "alice@example.com"])
    assert said.exit_code == 0, said.output
    run_jobs()
    db.session.commit()
    assert copies(alice)[0].state is ExportState.READY
    assert [mail.recipient for mail in mails()] == ["alice@example.com"]
