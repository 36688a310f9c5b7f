"""One JSON object per line with fork, request and job ids, and no personal data."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
job_id: ContextVar[int | None] = ContextVar("job_id", default=None)


@contextmanager
def request_context(value: str | None) -> Iterator[None]:
    """Mark log lines within the block with the request that caused them."""
    token = request_id.set(value)
    try:
        yield
    finally:
        request_id.reset(token)


@contextmanager
def job_context(value: int) -> Iterator[None]:
    token = job_id.set(value)
    try:
        yield
    finally:
        job_id.reset(token)


class _Context(logging.Filter):
    def __init__(self, fork: str) -> None:
        super().__init__()
        self.fork = fork

    def filter(self, record: logging.LogRecord) -> bool:
        record.fork = self.fork
        record.request_id = request_id.get()
        record.job_id = job_id.get()
        return True


def configure_logging(fork: str, level: str) -> None:
    """Send every logger of the process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Context(fork))
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s %(fork)s %(request_id)s %(job_id)s",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("stripe", "urllib3", "rq.worker", "PIL"):
        logging.getLogger(chatty).setLevel("WARNING")
