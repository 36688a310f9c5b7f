"""Nobody's rate is exceeded: by two workers, after FLUSHALL, or while Redis is away."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.races import Race
from webapp.core import clock
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.core.redis import EXTENSION, redis_client
from webapp.messaging.errors import InvalidDomainLimit
from webapp.messaging.models import MailSenderDay
from webapp.messaging.services.limits import (
    Allowance,
    alone,
    give_back_of_day,
    held_back,
    hold_back,
    let_go,
    rates,
    set_domain_limit,
    shared,
    take,
    take_of_day,
)
from webapp.messaging.services.senders import Identity, SenderDetails, create_sender, sender_for

pytest_plugins = ["tests.races"]


class Hands:
    """The clock of the buckets: it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self._client = redis_client()
        self.later(0)

    def later(self, seconds: float) -> None:
        self.now += seconds
        micros = round((self.now % 1) * 1_000_000)
        self._client.mset({"test:seconds": int(self.now), "test:micros": micros})

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hands(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hands]:
    hands = Hands()
    monkeypatch.setattr(alone, "time", hands)
    told = "{redis.call('GET', 'test:seconds'), redis.call('GET', 'test:micros')}"
    begin = shared._BEGIN.replace("redis.call('TIME')", told)
    assert begin != shared._BEGIN
    monkeypatch.setattr(shared, "_BEGIN", begin)
    for kept in (rates._keeper, rates._shared_in):
        kept.cache_clear()
    yield hands
    for kept in (rates._keeper, rates._shared_in):
        kept.cache_clear()


@pytest.fixture(params=["shared", "alone"])
def kept(app: Flask, hands: Hands, request: pytest.FixtureRequest) -> Iterator[str]:
    """With Redis there, and with Redis away: the same rules hold."""
    there = app.extensions[EXTENSION]
    if request.param == "alone":
        app.extensions[EXTENSION] = redis.Redis.from_url("redis://127.0.0.1:1/0")
    yield request.param
    app.extensions[EXTENSION] = there


def sender(per_second: int | None = None, domain: int | None = None) -> Identity:
    return Identity("Birch", "news@birch.example", None, 7, per_second, domain)


def test_no_limit_is_no_wait(kept: str) -> None:
    assert take(sender(), {"a.example": 500, "b.example": 1}) == Allowance(
        {"a.example": 500, "b.example": 1}, {}
    )
    assert take(sender(), {}) == Allowance({}, {})
    assert take(sender(), {"a.example": 0}) == Allowance({}, {})


def test_a_bucket_holds_a_second_of_the_sender_and_of_each_domain(kept: str) -> None:
    first = take(sender(10, 4), {"a.example": 9, "b.example": 3, "c.example": 9})
    assert first.granted == {"a.example": 4, "b.example": 3, "c.example": 3}
    assert set(first.wait) == {"a.example", "c.example"}
    assert first.wait == pytest.approx({"a.example": 0.25, "c.example": 0.1})
    second = take(sender(10, 4), {"b.example": 2, "d.example": 1})
    assert second.granted == {"b.example": 0, "d.example": 0}
    assert second.wait == pytest.approx({"b.example": 0.1, "d.example": 0.1})
    assert take(sender(), {"b.example": 2}).granted == {"b.example": 2}


def test_what_is_used_comes_back_at_the_rate(kept: str, hands: Hands) -> None:
    assert take(sender(100), {"a.example": 500}).granted == {"a.example": 100}
    assert take(sender(100), {"a.example": 1}).wait["a.example"] == pytest.approx(0.01)
    for seconds, mails in ((0.011, 1), (0.25, 25), (60, 100)):
        hands.later(seconds)
        assert take(sender(100), {"a.example": 500}).granted == {"a.example": mails}


@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rate=st.integers(1, 50),
    steps=st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=5, max_size=30),
)
def test_no_stretch_of_time_exceeds_the_rate_by_more_than_a_second(
    kept: str, hands: Hands, rate: int, steps: list[tuple[int, float]]
) -> None:
    hands.later(10)
    began, taken = hands.now, 0
    for wanted, seconds in steps:
        taken += take(sender(rate), {"a.example": wanted}).granted["a.example"]
        assert taken <= rate * (hands.now - began + 1) + 1e-6
        hands.later(seconds)


def test_a_domains_own_limit_holds_for_all_senders(kept: str) -> None:
    set_domain_limit(" @Bücher.Example", 2, OPERATOR)
    name = "xn--bcher-kva.example"
    assert take(sender(domain=50), {name: 9}).granted == {name: 2}
    other = Identity("Other", "other@birch.example", None, 8)
    assert take(other, {name: 9}).granted == {name: 0}
    set_domain_limit(name, None, OPERATOR)
    assert take(other, {name: 9}).granted == {name: 9}
    for domain, rate in (("example com", 5), ("", 5), (name, 0)):
        with pytest.raises(InvalidDomainLimit):
            set_domain_limit(domain, rate, OPERATOR)


def test_a_domain_is_held_back_longer_each_time_until_a_mail_gets_through(
    kept: str, hands: Hands
) -> None:
    asked = {"slow.example": 5, "b.example": 5}
    for seconds in (60, 120, 240):
        assert hold_back("slow.example") == pytest.approx(seconds)
        hands.later(1)
        assert hold_back("slow.example") == pytest.approx(seconds - 1), "the same occasion"
        let_go("slow.example", "b.example")
        assert held_back() == pytest.approx({"slow.example": seconds - 1})
        held = take(sender(100), asked)
        assert held.granted == {"slow.example": 0, "b.example": 5}
        assert held.wait == pytest.approx({"slow.example": seconds - 1})
        hands.later(seconds)
        assert held_back() == {}
        assert take(sender(100), asked).granted == asked
    let_go("slow.example")
    assert hold_back("slow.example", 5) == pytest.approx(5)
    assert hold_back("dead.example", 7200) == 3600


def test_an_emptied_redis_gives_one_more_second_and_no_more(hands: Hands) -> None:
    for granted in (5, 0):
        assert take(sender(5), {"a.example": 9}).granted == {"a.example": granted}
    hold_back("slow.example")
    redis_client().flushdb()
    hands.later(0)
    assert held_back() == {}
    for granted in (5, 0):
        assert take(sender(5), {"a.example": 9}).granted == {"a.example": granted}
    redis_client().script_flush()
    assert take(sender(5), {"a.example": 9}).granted == {"a.example": 0}


def test_the_log_says_once_that_redis_is_away(
    app: Flask, kept: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        take(sender(5), {"alice.example": 2})
    lines = [record.getMessage() for record in caplog.records if record.name == rates.__name__]
    assert lines == (["mail rates kept by this process alone"] if kept == "alone" else [])


def limited(per_day: int) -> Identity:
    made = create_sender(SenderDetails("News", "news@birch.example", per_day=per_day), OPERATOR)
    db.session.commit()
    return sender_for(made.id)


def test_a_day_has_its_limit_and_what_was_not_sent_goes_back(app: Flask) -> None:
    identity = limited(100)
    assert [take_of_day(identity, 60) for _ in range(3)] == [60, 40, 0]
    give_back_of_day(identity, 30)
    assert [take_of_day(identity, 20) for _ in range(3)] == [20, 10, 0]
    give_back_of_day(identity, 1000)
    assert db.session.scalars(db.select(MailSenderDay.taken)).all() == [0]
    assert take_of_day(sender(), 60) == 60
    with clock.frozen(clock.now() + timedelta(days=5000)):
        assert take_of_day(sender_for(identity.sender_id), 500) == 100


def test_workers_at_once_never_take_more_than_the_day_holds(race: Race) -> None:
    identity, taken = limited(1000), []

    def work() -> None:
        for _ in range(10):
            mine = take_of_day(identity, 70)
            db.session.commit()
            unsent = min(mine, 1)
            give_back_of_day(identity, unsent)
            db.session.commit()
            taken.append(mine - unsent)

    race.run(work, work, work)
    assert db.session.scalars(db.select(MailSenderDay.taken)).one() == sum(taken)
    assert 900 < sum(taken) <= 1000
