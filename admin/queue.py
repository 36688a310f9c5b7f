"""The room of jobs: what waits, what runs, what failed, and the button that runs it again."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import selectinload

from admin.base import Column, Filter, Room, action
from admin.subjects import gather_links, subject_link
from webapp.accounts.permissions import Permission
from webapp.core.db import db
from webapp.core.models import Job, JobAttempt, JobState
from webapp.core.queue import Queue, run_again

OVER = (JobState.FAILED, JobState.CANCELLED)


def short_path(job: Job) -> str:
    """Return ``orders.fulfil`` for ``jobs.orders.fulfil``."""
    return job.path.removeprefix("jobs.")


def _about(job: Job) -> Any:
    return subject_link(job.subject)


class Jobs(Room):
    """Jobs are promises in Postgres; Redis only rings for them."""

    noun = "job"
    intro = "Promises the shop has made to itself. A failed one waits here until somebody runs it."
    search_hint = "Path, subject like order:42, or number"
    columns = (
        Column("path", "Job", "text", short_path),
        Column("state", "State", "pill", sort=Job.state),
        Column("subject", "About", "link", _about),
        Column("attempts", "Tries", "number"),
        Column("queue", "Queue"),
        Column("run_at", "Due", "moment", sort=Job.run_at),
        Column("error", "Last error", "short"),
    )
    facts = (
        Column("path", "Calls", "code"),
        # Some jobs are given what belongs to a person.
        Column("args", "With", "code", needs=Permission.JOBS_RUN),
        Column("subject", "About", "link", _about),
        Column("queue", "Queue"),
        Column("attempts", "Tries", "number"),
        Column("max_attempts", "Tries at most", "number"),
        Column("created_at", "Promised", "moment"),
        Column("run_at", "Due", "moment"),
        Column("deadline_at", "Deadline", "moment"),
        Column("lease_until", "Held by a worker until", "moment"),
        Column("finished_at", "Ended", "moment"),
        Column("request_id", "Request", "code"),
        Column("key", "Unique key", "code"),
    )
    filters = (
        Filter(
            "state",
            "State",
            [(state.value, state.value.capitalize()) for state in JobState],
            lambda value: Job.state == JobState(value),
        ),
        Filter(
            "queue",
            "Queue",
            [(queue.value, queue.value.capitalize()) for queue in Queue],
            lambda value: Job.queue == value,
        ),
    )
    details_template = "admin/queue/job.html"

    def gather(self, rows: Sequence[Any]) -> Mapping[Any, Mapping[str, Any]]:
        return gather_links(rows, "subject")

    def search(self, text: str) -> ColumnElement[bool]:
        if text.isascii() and text.isdigit() and len(text) < 19:
            return Job.id == int(text)
        if ":" in text:
            return Job.subject == text
        return Job.path.contains(text, autoescape=True)

    def load(self, key: Any) -> Job | None:
        tries = selectinload(Job.tries).raiseload("*")
        return db.session.scalar(select(Job).where(Job.id == key).options(tries))

    def title_of(self, row: Job) -> str:
        return f"Job {row.id}: {short_path(row)}"

    def detail(self, row: Job) -> dict[str, Any]:
        return {"tries": [_try_entry(attempt) for attempt in row.tries]}

    @action(
        "Run again",
        permission=Permission.JOBS_RUN,
        verb="rerun",
        tone="primary",
        bulk=True,
        when=lambda job: job.state in OVER,
    )
    def run_again(self, row: Job) -> str:
        run_again(row.id)
        return f"Job {row.id} will run again at once."


def _try_entry(attempt: JobAttempt) -> dict[str, Any]:
    seconds = (attempt.finished_at - attempt.started_at).total_seconds()
    return {
        "at": attempt.started_at,
        "title": f"Try {attempt.number} {'failed' if attempt.error else 'succeeded'}",
        "detail": f"{attempt.error or 'Done'} · {seconds:.1f} s on {attempt.worker}",
        "tone": "bad" if attempt.error else "good",
        "kind": None,
    }
