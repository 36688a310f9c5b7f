"""What the machinery remembers of a person: arguments and errors of jobs, keys in Redis."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from redis import RedisError
from sqlalchemy import Text, cast, func, or_, select, update

from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import Job, JobAttempt, JobState
from webapp.core.privacy import ERASED, Tally, among, blot_out, mentions, run, spellings
from webapp.core.redis import redis_client
from webapp.core.state import current_fork

logger = logging.getLogger(__name__)

KEPT = "Which job ran when, for whoever keeps the shop running; deleted after 90 days."

Tells = Callable[[object], bool]


def is_at_work(subjects: Sequence[str]) -> bool:
    """Say whether a worker has a job about one of the subjects in hand.

    It might yet write down an error made of what it has read. Jobs that wait are locked, so that
    none of them begins before the caller's transaction is over.
    """
    about = among(Job.subject, subjects)
    waiting = select(Job.id).where(about, Job.state == JobState.QUEUED).order_by(Job.id)
    db.session.execute(waiting.with_for_update())
    working = Job.state == JobState.RUNNING, Job.lease_until > clock.now()
    return db.session.scalar(select(Job.id).where(about, *working).limit(1)) is not None


def forget_jobs(subjects: Sequence[str], words: Sequence[str], tally: Tally) -> None:
    """Take from jobs what they say about a person.

    Errors of the person's own jobs keep their kind alone; elsewhere the ``words`` are blotted out.
    """
    mine = among(Job.subject, subjects)
    tries = JobAttempt.job_id.in_(select(Job.id).where(mine))
    jobs = run(update(Job).where(mine, Job.error.is_not(None)).values(error=_kind(Job.error)))
    told = tries, JobAttempt.error.is_not(None)
    attempts = run(update(JobAttempt).where(*told).values(error=_kind(JobAttempt.error)))
    if words:
        jobs += _blot_jobs(words)
        attempts += blot_out(JobAttempt, JobAttempt.error, words)
    tally.anonymised("job", jobs, KEPT)
    tally.anonymised("job_attempt", attempts, KEPT)


def _kind(error: Any) -> Any:
    return func.split_part(error, ":", 1) + f": {ERASED}"


def _blot_jobs(words: Sequence[str]) -> int:
    # What waits with one of the words in its arguments has lost its purpose.
    run(
        update(Job)
        .where(Job.state == JobState.QUEUED, mentions(Job.args, words))
        .values(state=JobState.CANCELLED, finished_at=clock.now(), lease_until=None)
    )
    # Keys are unique: the same word blotted out of two would make them equal.
    named = or_(mentions(Job.key, words), mentions(Job.subject, words))
    values = {"key": "erased:" + cast(Job.id, Text), "subject": None}
    changed = run(update(Job).where(named).values(values))
    return changed + blot_out(Job, Job.args, words) + blot_out(Job, Job.error, words)


def forget_in_redis(addresses: Sequence[str], ids: Sequence[object]) -> None:
    """Delete what the fork's keys hold of the addresses, of their hashes, and of the ids.

    Everything there expires or can be lost, so Redis away stops nobody.
    """
    hashes = [hashlib.sha256(address.encode()).hexdigest()[:32] for address in addresses]
    words = [word.lower().encode() for word in (*spellings(addresses), *hashes, *map(str, ids))]

    def tells(text: object) -> bool:
        lowered = text.lower() if isinstance(text, bytes) else b""
        return any(word in lowered for word in words)

    try:
        _sweep(redis_client(), tells)
    except RedisError as error:
        logger.warning("Redis not swept, its keys expire", extra={"why": type(error).__name__})


def _sweep(redis: Any, tells: Tells) -> None:
    name = current_fork().name.encode()
    for key in redis.scan_iter(match=b"*" + name + b":*", count=1000):
        # Limits stand behind a prefix of their library's; "myshop:" isn't "shop:".
        if key.startswith(name + b":") or b":" + name + b":" in key or b"/" + name + b":" in key:
            _sweep_key(redis, key, tells)


def _sweep_key(redis: Any, key: bytes, tells: Tells) -> None:
    if tells(key):
        redis.delete(key)
        return
    sweep = _SWEEPS.get(redis.type(key))
    if sweep is not None:
        sweep(redis, key, tells)


def _sweep_string(redis: Any, key: bytes, tells: Tells) -> None:
    if tells(redis.get(key)):
        redis.delete(key)


def _sweep_list(redis: Any, key: bytes, tells: Tells) -> None:
    for value in redis.lrange(key, 0, -1):
        if tells(value):
            redis.lrem(key, 0, value)


def _sweep_set(redis: Any, key: bytes, tells: Tells) -> None:
    for value in redis.sscan_iter(key):
        if tells(value):
            redis.srem(key, value)


def _sweep_sorted(redis: Any, key: bytes, tells: Tells) -> None:
    for value, _score in redis.zscan_iter(key):
        if tells(value):
            redis.zrem(key, value)


def _sweep_hash(redis: Any, key: bytes, tells: Tells) -> None:
    for name, value in redis.hscan_iter(key):
        if tells(name) or tells(value):
            redis.hdel(key, name)


def _sweep_stream(redis: Any, key: bytes, tells: Tells) -> None:
    after = b"-"
    while entries := redis.xrange(key, min=after, count=500):
        for entry, fields in entries:
            if any(tells(part) for pair in fields.items() for part in pair):
                redis.xdel(key, entry)
        after = b"(" + entries[-1][0]


_SWEEPS: dict[bytes, Callable[[Any, bytes, Tells], None]] = {
    b"string": _sweep_string,
    b"list": _sweep_list,
    b"set": _sweep_set,
    b"zset": _sweep_sorted,
    b"hash": _sweep_hash,
    b"stream": _sweep_stream,
}
