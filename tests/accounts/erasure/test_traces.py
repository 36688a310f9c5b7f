"""After the grace nothing here says who somebody was, wherever one looks."""

import logging

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

import jobs.privacy
from jobs.campaigns import drain_client_events
from tests.accounts.erasure.forgetting import REMAINS, close, erase, found
from tests.accounts.searching import find_in_database, find_in_files
from tests.factories.lives import ALICE, RunJobs
from tests.factories.people import PASSWORD, make_user
from webapp.accounts.models import ExportState, User
from webapp.accounts.models.privacy import DataExport
from webapp.accounts.queries.privacy import identify
from webapp.accounts.services import exporting
from webapp.core.redis import redis_client
from webapp.core.state import current_fork


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
    assert find_in_files(current_fork().upload_folder, ALICE.marks)
    close(user)
    erase(run_jobs)
    assert not exporting.finish_copy(export_id, written)
    assert find_in_files(current_fork().upload_folder, ALICE.marks) == set()


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
