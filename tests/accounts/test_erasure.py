"""Being forgotten: after the grace nothing here says who somebody was, and others are untouched."""

import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import Session

import jobs.privacy
from jobs.campaigns import drain_client_events
from jobs.privacy import erase_due
from tests.accounts.searching import (
    find_in_database,
    find_in_files,
    find_in_redis,
    rows_with,
    whole_database,
)
from tests.factories.lives import ALICE, BOB, Life, RunJobs
from tests.factories.people import PASSWORD, make_user
from tests.factories.sales import StripeDesk
from webapp.accounts.models import (
    EmailChange,
    Erasure,
    ExportState,
    Member,
    Role,
    User,
)
from webapp.accounts.models.privacy import DataExport
from webapp.accounts.queries.privacy import identify
from webapp.accounts.services import exporting
from webapp.accounts.services.closing import close_account
from webapp.accounts.services.erasing import PATIENCE
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import AuditEntry, Job, JobState
from webapp.core.redis import redis_client
from webapp.core.state import current_fork
from webapp.doctor import examine
from webapp.messaging.models import Mail, MailState
from webapp.orders.models import (
    Order,
    OrderShippingAddress,
    OrderSku,
    OrderState,
    OrderStatus,
    Shipment,
)

# All that may still say something of somebody who was erased, and why.
REMAINS = {
    ("audit_entry", "network", ALICE.network): (
        "The first part of the network an act came from. The audit can't be changed by anybody, "
        "which is its worth; it names people by an id that leads nowhere once they are erased."
    ),
}


@pytest.fixture(autouse=True)
def _no_files(app: Flask) -> Iterator[None]:
    """Uploads outlive a test's database."""
    yield
    shutil.rmtree(current_fork().upload_folder / "exports", ignore_errors=True)


@pytest.fixture
def alice(client: FlaskClient, stripe_desk: StripeDesk, run_jobs: RunJobs) -> User:
    return Life(ALICE, client, stripe_desk, run_jobs).live()


@pytest.fixture
def bob(app: Flask, client: FlaskClient, stripe_desk: StripeDesk, run_jobs: RunJobs) -> User:
    return Life(BOB, app.test_client(), stripe_desk, run_jobs).live()


def close(user: User) -> None:
    """Ask to be forgotten, and let the grace pass."""
    close_account(user, SYSTEM)
    user.erase_after = clock.now() - timedelta(seconds=1)
    db.session.commit()


def erase(run_jobs: RunJobs) -> None:
    """Goodbye, its mail, and the erasure, as the clock and the workers take them."""
    say_goodbye(run_jobs)
    erase_due()


def say_goodbye(run_jobs: RunJobs) -> None:
    erase_due()
    run_jobs()
    # The jobs had sessions of their own within this one's savepoint: keep what they did.
    db.session.commit()


def found(connection: Connection) -> set[Any]:
    db.session.commit()
    everywhere: set[Any] = find_in_database(connection, ALICE.marks)
    everywhere |= find_in_redis(ALICE.marks)
    return everywhere | find_in_files(current_fork().upload_folder, ALICE.marks)


def test_nothing_says_who_an_erased_person_was(
    connection: Connection,
    alice: User,
    run_jobs: RunJobs,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    tables = {place[0] for place in find_in_database(connection, ALICE.marks)}
    assert len(tables) > 25, "the person is known all over the place"
    close(alice)
    erase(run_jobs)
    assert found(connection) == set(REMAINS)
    drain_client_events()
    run_jobs()
    assert found(connection) == set(REMAINS)
    said = " ".join(str(vars(record)) for record in caplog.records).lower()
    assert [mark for mark in ALICE.marks if mark.lower() in said] == []


def test_a_place_nobody_thought_of_is_found(
    connection: Connection, alice: User, run_jobs: RunJobs
) -> None:
    """The search is only worth something if it sees what erasing overlooked."""
    connection.execute(text("ALTER TABLE shop ADD COLUMN planted text, ADD COLUMN listed text[]"))
    connection.execute(text("ALTER TABLE sku ADD COLUMN bytes bytea, ADD COLUMN tree jsonb"))
    connection.execute(
        text("UPDATE shop SET planted = :mail, listed = ARRAY['x', :street]"),
        {"mail": f"mailto:{ALICE.email.upper()}", "street": ALICE.street},
    )
    connection.execute(
        text(
            "UPDATE sku SET bytes = convert_to(CAST(:name AS text), 'UTF8'),"
            " tree = jsonb_build_array(CAST(:city AS text))"
        ),
        {"name": ALICE.name, "city": ALICE.city},
    )
    close(alice)
    erase(run_jobs)
    left = {place[:2] for place in found(connection) - set(REMAINS)}
    assert left == {("shop", "planted"), ("shop", "listed"), ("sku", "bytes"), ("sku", "tree")}


def test_others_are_untouched(
    connection: Connection, alice: User, bob: User, run_jobs: RunJobs
) -> None:
    before = rows_with(connection, BOB.marks)
    assert sum(map(len, before.values())) > 40
    redis_before = find_in_redis(BOB.marks)
    close(alice)
    erase(run_jobs)
    db.session.commit()
    assert rows_with(connection, BOB.marks) == before
    assert find_in_redis(BOB.marks) == redis_before
    assert find_in_files(current_fork().upload_folder, BOB.marks)


def test_the_books_stay(session: Session, alice: User, run_jobs: RunJobs) -> None:
    kept = (Order.number, Order.total_amount, Order.tax_amount, Order.currency, Order.placed_at)
    lines = select(OrderSku.title, OrderSku.code, OrderSku.quantity, OrderSku.total_amount)
    orders = session.execute(select(*kept).order_by(Order.id)).all()
    sold = session.execute(lines.order_by(OrderSku.id)).all()
    close(alice)
    erase(run_jobs)
    session.expire_all()
    assert session.execute(select(*kept).order_by(Order.id)).all() == orders
    assert session.execute(lines.order_by(OrderSku.id)).all() == sold
    assert set(session.scalars(select(OrderShippingAddress.country))) == {"US"}
    for order in session.scalars(select(Order)):
        assert (order.email, order.phone) == ("", "")
        assert order.refunds or order.member_id is None
        assert order.shipments[0].carrier == "UPS"
    broken = {check["name"] for check in examine(ask_stripe=False)["checks"] if not check["ok"]}
    # What the life had go wrong on purpose.
    assert broken <= {"no_failed_jobs", "no_parked_events"}


def test_the_report_says_what_went_and_why_the_rest_stays(
    connection: Connection, session: Session, alice: User, run_jobs: RunJobs
) -> None:
    close(alice)
    erase(run_jobs)
    report = session.scalars(select(Erasure.report).where(Erasure.user_id == alice.id)).one()
    tables = report["tables"]
    assert tables["address"] == {"erased": 1}
    assert tables["passkey"] == {"erased": 1}
    assert tables["order"]["anonymised"] == 2
    assert "tax law" in tables["order"]["why"]
    assert tables["terms_agreement"]["kept"] == 1
    for line in tables.values():
        assert "why" in line or not {"kept", "anonymised"} & set(line)
    assert "Stripe keeps its own records" in report["elsewhere"]["stripe"]
    audited = select(AuditEntry.action).where(AuditEntry.user_id == alice.id)
    assert {"account.closed", "member.erased"} <= set(session.scalars(audited))
    assert not session.scalars(select(DataExport).where(DataExport.user_id == alice.id)).all()


def test_the_last_mail_is_sent_and_not_kept(
    session: Session, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user(ALICE.email)
    close(user)
    erase_due()
    farewell = session.scalars(select(Mail).where(Mail.kind == "account_erased")).one()
    assert farewell.recipient == ALICE.email
    assert not session.get_one(User, user.id).active
    erase_due()
    assert session.scalars(select(Erasure)).all() == [], "it waits until the mail is sent"
    run_jobs()
    session.commit()
    assert session.scalar(select(Mail.state).where(Mail.id == farewell.id)) is MailState.SENT
    erase_due()
    assert session.scalars(select(Mail)).all() == []
    assert session.scalars(select(Erasure.user_id)).all() == [user.id]


def test_a_mail_server_that_is_away_only_delays_it(session: Session, run_jobs: RunJobs) -> None:
    user = make_user(ALICE.email)
    close(user)
    erase_due()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is None
    user.erase_after = clock.now() - PATIENCE
    session.commit()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is not None
    assert session.scalars(select(Mail)).all() == []
    assert run_jobs() == 0, "nothing is left to be sent"


STEPS = [
    "scrub_events",
    "orders.erase",
    "campaigns.erase",
    "messaging.erase",
    "erasing.erase",
    "forget_jobs",
    "forget_in_redis",
    "erasing.finish",
]


class Killed(BaseException):
    """What no ``except Exception`` catches, like the end of the process."""


def test_killed_at_any_step_it_did_nothing_and_does_all_the_next_time(
    connection: Connection, alice: User, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(alice)
    say_goodbye(run_jobs)
    db.session.commit()
    before = whole_database(connection)
    for step in STEPS:
        place: Any = jobs.privacy
        owner, _, name = step.rpartition(".")
        place = getattr(place, owner) if owner else place
        done = getattr(place, name)

        def die(*args: Any, _done: Callable[..., Any] = done, **kwargs: Any) -> None:
            _done(*args, **kwargs)
            db.session.flush()
            raise Killed

        monkeypatch.setattr(place, name, die)
        with pytest.raises(Killed):
            erase_due()
        db.session.rollback()
        monkeypatch.undo()
        assert whole_database(connection) == before, step
    erase_due()
    assert found(connection) == set(REMAINS)


def test_killed_before_its_files_are_deleted_the_sweep_finds_them(
    connection: Connection, alice: User, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = current_fork().upload_folder / "exports"
    assert len(list(folder.glob("*.zip"))) == 1
    close(alice)
    say_goodbye(run_jobs)

    def die() -> None:
        raise Killed

    monkeypatch.setattr(exporting, "folder", die)
    with pytest.raises(Killed):
        erase_due()
    monkeypatch.undo()
    db.session.rollback()
    assert len(list(folder.glob("*.zip"))) == 1
    jobs.privacy.delete_old_exports()
    assert found(connection) == set(REMAINS)


def test_erasing_twice_does_no_harm(
    connection: Connection, session: Session, alice: User, run_jobs: RunJobs
) -> None:
    close(alice)
    erase(run_jobs)
    db.session.commit()
    before = whole_database(connection)
    erase(run_jobs)
    session.execute(text('UPDATE "user" SET erased_at = erased_at'))
    erase(run_jobs)
    db.session.commit()
    assert whole_database(connection) == before
    assert session.scalar(select(func.count()).select_from(Erasure)) == 1


def test_an_erased_login_is_refused_like_an_unknown_one(
    client: FlaskClient, run_jobs: RunJobs
) -> None:
    user = make_user(ALICE.email)
    close(user)
    erase(run_jobs)
    answers = [
        client.post("/login", data={"email": email, "password": PASSWORD})
        for email in (ALICE.email, f"erased-{user.id}@erased.invalid", "nobody@example.com")
    ]
    assert {answer.status_code for answer in answers} == {401}
    # The address is free: whoever has it may begin anew.
    again = make_user(ALICE.email)
    assert again.id != user.id


def test_an_address_that_was_only_typed_takes_nothing_along(
    connection: Connection, alice: User, run_jobs: RunJobs
) -> None:
    """Somebody else registered with her address, even changed it: her data isn't theirs."""
    db.session.commit()
    typed = make_user(ALICE.email, verified=False)
    changed = make_user("charlie@example.com")
    now = clock.now()
    db.session.add(
        EmailChange(
            user_id=changed.id,
            old_email=ALICE.former_email,
            new_email=changed.email,
            created_at=now,
            # As for an address that was never shown to be theirs: nobody asked it.
            old_confirmed_at=now - timedelta(microseconds=9),
            new_confirmed_at=now,
            done_at=now,
            expires_at=now,
        )
    )
    db.session.commit()
    assert identify(typed).addresses == ()
    assert identify(changed).addresses == ("charlie@example.com",)
    mine = {table: rows for table, rows in rows_with(connection, ALICE.marks).items() if rows}
    for user in (typed, changed):
        close(user)
    erase(run_jobs)
    db.session.commit()
    assert set(db.session.scalars(select(Erasure.user_id))) == {typed.id, changed.id}
    after = rows_with(connection, ALICE.marks)
    for table in ("order", "mail", "stripe_event", "mail_consent", "contact_message", "address"):
        assert after[table] == mine[table], table


def test_a_former_address_that_became_somebody_elses_is_left_alone(session: Session) -> None:
    user, other = make_user("alice@example.com"), make_user("bob@example.com")
    now = clock.now()
    shown = {"old_confirmed_at": now, "created_at": now - timedelta(hours=1), "expires_at": now}
    for former in ("alice.before@example.com", "bob@example.com"):
        change = EmailChange(
            user_id=user.id, old_email=former, new_email=user.email, done_at=now, **shown
        )
        session.add(change)
    session.commit()
    assert identify(user).addresses == ("alice.before@example.com", "alice@example.com")
    assert identify(other).addresses == ("bob@example.com",)


def test_whoever_works_here_is_not_erased(session: Session, run_jobs: RunJobs) -> None:
    user = make_user(ALICE.email)
    close(user)
    user.role = Role.STAFF
    session.commit()
    erase(run_jobs)
    assert session.get_one(User, user.id, populate_existing=True).erased_at is None


def test_who_worked_here_stays_in_histories_as_an_id(
    session: Session, alice: User, bob: User, run_jobs: RunJobs
) -> None:
    order = session.scalars(
        select(Order).join(Member, Member.id == Order.member_id).where(Member.user_id == bob.id)
    ).one()
    session.add(OrderStatus(order_id=order.id, status=OrderState.SHIPPED, actor=ALICE.email))
    session.add(Shipment(order_id=order.id, carrier="UPS", actor=ALICE.email.title()))
    session.commit()
    close(alice)
    erase(run_jobs)
    for model in (OrderStatus, Shipment):
        actors = set(session.scalars(select(model.actor).where(model.order_id == order.id)))
        assert f"user:{alice.id}" in actors


def test_it_waits_for_a_worker_who_has_a_job_about_them_in_hand(
    session: Session, run_jobs: RunJobs
) -> None:
    user = make_user(ALICE.email)
    close(user)
    say_goodbye(run_jobs)
    job = Job(
        path="jobs.accounts.welcome",
        args=[str(user.id)],
        queue="mail",
        subject=f"user:{user.id}",
        state=JobState.RUNNING,
        lease_until=clock.now() + timedelta(minutes=1),
        max_attempts=1,
        deadline_at=clock.now(),
    )
    session.add(job)
    session.commit()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is None
    session.get_one(Job, job.id).state = JobState.DONE
    session.commit()
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is not None


def test_without_redis_it_is_done_all_the_same(
    session: Session, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis import ConnectionError as Away

    def away(*_args: object, **_kwargs: object) -> None:
        raise Away("no Redis")

    user = make_user(ALICE.email)
    close(user)
    say_goodbye(run_jobs)
    monkeypatch.setattr(type(redis_client()), "scan_iter", away)
    erase_due()
    assert session.get_one(User, user.id, populate_existing=True).erased_at is not None


def test_of_shared_keys_in_redis_only_their_part_goes(
    connection: Connection, alice: User, run_jobs: RunJobs
) -> None:
    fork, redis = current_fork().name, redis_client()
    redis.set(f"other{fork}:note", ALICE.email)
    close(alice)
    erase(run_jobs)
    assert redis.lrange(f"{fork}:lately", 0, -1) == [b"nobody"]
    assert redis.smembers(f"{fork}:seen_people") == {b"nobody"}
    assert redis.zrange(f"{fork}:by_time", 0, -1) == [b"nobody"]
    assert redis.hgetall(f"{fork}:places") == {b"nobody": b"x"}
    assert redis.get(f"other{fork}:note") == ALICE.email.encode(), "another fork's key"


def test_an_open_copy_of_data_dies_with_the_person(
    session: Session, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that makes it is killed after writing, and goes on when the person is gone."""
    user = make_user(ALICE.email, name=ALICE.name)
    export = DataExport(user_id=user.id)
    session.add(export)
    session.commit()
    export_id = export.id
    written = exporting.write_copy(export_id, jobs.privacy._chapters(identify(user)))
    assert export.state is ExportState.REQUESTED
    close(user)
    erase(run_jobs)
    assert not exporting.finish_copy(export_id, written)
    assert find_in_files(current_fork().upload_folder, ALICE.marks) == set()
