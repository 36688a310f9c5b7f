"""When a case's steps are due, and what is done however seldom the clock looks."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.billing import NOON
from webapp.billing.errors import InvalidPolicy
from webapp.billing.models import DeclineKind, StepAction
from webapp.billing.policy import (
    LAST_DAY,
    Facts,
    Mailing,
    Policy,
    decide,
    due_at,
    reminder_at,
    timeline,
)

DAY = timedelta(days=1)
BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
ZONE_NAMES = """
    UTC Europe/Berlin America/New_York Asia/Kathmandu Australia/Lord_Howe Pacific/Apia
"""
ZONES = st.sampled_from([ZoneInfo(name) for name in ZONE_NAMES.split()])
KINDS = st.sampled_from(DeclineKind)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2031, 12, 31), timezones=st.just(UTC))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    end = draw(st.none() | st.integers(1, LAST_DAY))
    last = (end - 1) if end is not None else LAST_DAY
    days = draw(st.lists(st.integers(0, last), unique=True, max_size=8))
    kinds = st.frozensets(KINDS, max_size=3)
    return Policy.of(
        Policy(
            mailings=tuple(Mailing(day, "reminder", draw(kinds)) for day in days),
            wall_day=draw(st.none() | st.integers(0, end if end is not None else LAST_DAY)),
            end_day=end,
            quiet_from=draw(st.integers(0, 1439)),
            quiet_to=draw(st.integers(0, 1439)),
            weekdays=draw(st.frozensets(st.integers(0, 6), min_size=1)),
        ).as_rules()
    )


def walk(
    policy: Policy, opened_at: datetime, zone: ZoneInfo, looks: Iterable[tuple[int, DeclineKind]]
) -> tuple[list[str], list[str]]:
    """Look at a case after so many minutes each time; returns what was done and what was missed."""
    done: list[str] = []
    missed: list[str] = []
    for minutes, kind in looks:
        now = opened_at + timedelta(minutes=minutes)
        facts = Facts(opened_at, kind, zone)
        decision = decide(policy, facts, {*done, *missed}, now)
        mails = [due for due in decision.do if due.step.action is StepAction.MAIL]
        assert len(mails) <= 1, "two mails at one look"
        assert all(due.at <= now for due in decision.do), "nothing is done before its time"
        assert decision.next_at is None or decision.next_at > now
        done += [due.step.key for due in decision.do]
        missed += [due.step.key for due in decision.missed]
        if any(key.startswith("end:") for key in done):
            break
    return done, missed


@given(
    policies(),
    MOMENTS,
    ZONES,
    KINDS,
    st.lists(st.integers(0, (LAST_DAY + 9) * 1440), max_size=30),
)
def test_every_step_is_done_or_missed_once_whenever_the_clock_looks(
    policy: Policy, opened_at: datetime, zone: ZoneInfo, kind: DeclineKind, looks: list[int]
) -> None:
    looks = [*sorted(looks), (LAST_DAY + 10) * 1440]
    done, missed = walk(policy, opened_at, zone, [(at, kind) for at in looks])
    assert sorted(done + missed) == sorted(step.key for step in policy.steps(kind))


@given(
    policies(),
    MOMENTS,
    ZONES,
    st.lists(st.tuples(st.integers(0, LAST_DAY * 1440), KINDS), max_size=20),
)
def test_a_kind_that_changes_brings_no_step_twice_and_no_older_mail_after_a_newer(
    policy: Policy, opened_at: datetime, zone: ZoneInfo, looks: list[tuple[int, DeclineKind]]
) -> None:
    done, missed = walk(policy, opened_at, zone, sorted(looks, key=lambda look: look[0]))
    assert len(done + missed) == len({*done, *missed})
    days = [int(key.removeprefix("mail:")) for key in done if key.startswith("mail:")]
    assert days == sorted(days)


@given(policies(), MOMENTS, ZONES, KINDS)
def test_mails_go_neither_early_nor_in_quiet_hours_nor_on_other_days(
    policy: Policy, opened_at: datetime, zone: ZoneInfo, kind: DeclineKind
) -> None:
    for due in timeline(policy, Facts(opened_at, kind, zone)):
        day = opened_at + due.step.day * DAY
        if due.step.action is not StepAction.MAIL:
            assert due.at == day
            continue
        local = due.at.astimezone(zone)
        minute = local.hour * 60 + local.minute
        assert day <= due.at <= day + 9 * DAY
        assert local.weekday() in policy.weekdays
        quiet = (policy.quiet_from, policy.quiet_to)
        # A quiet time that ends within the hour a clock skips ends when the clock goes on.
        assert not _between(minute, *quiet) or _near_a_change(due.at, zone)


def _between(minute: int, start: int, end: int) -> bool:
    if start <= end:
        return start <= minute < end
    return minute >= start or minute < end


def _near_a_change(at: datetime, zone: ZoneInfo) -> bool:
    around = {(at + hours * timedelta(hours=1)).astimezone(zone).utcoffset() for hours in (-3, 3)}
    return len(around) > 1


def test_a_clock_that_stood_still_for_five_days_sends_the_latest_mail_alone() -> None:
    facts = Facts(NOON, DeclineKind.TRY_AGAIN, UTC_ZONE)
    first = decide(Policy(), facts, (), NOON)
    assert [due.step.key for due in first.do] == ["mail:0"]
    late = decide(Policy(), facts, {"mail:0"}, NOON + 8 * DAY)
    assert [due.step.key for due in late.do] == ["wall:7", "mail:7"]
    assert [due.step.key for due in late.missed] == ["mail:3"]
    assert late.next_at == NOON + 10 * DAY


def test_on_the_last_day_nothing_is_sent_any_more() -> None:
    facts = Facts(NOON, DeclineKind.NEVER, UTC_ZONE)
    decision = decide(Policy(), facts, {"mail:0", "mail:3"}, NOON + 20 * DAY)
    assert [due.step.key for due in decision.do] == ["wall:7", "end:14"]
    assert [due.step.key for due in decision.missed] == ["mail:7", "mail:10", "mail:13"]
    assert decision.next_at is None


def test_a_mail_that_quiet_days_moved_beyond_the_end_is_missed() -> None:
    mondays = Policy(mailings=(Mailing(5, "last"),), weekdays=frozenset({0}), end_day=6)
    decision = decide(mondays, Facts(NOON, DeclineKind.NEVER, UTC_ZONE), (), NOON + 6 * DAY)
    assert [due.step.key for due in decision.missed] == ["mail:5"]


@pytest.mark.parametrize(
    ("failed_at", "due"),
    [
        # The clocks of Berlin go forward in the night to March 31 and back in that to October 27.
        (datetime(2030, 3, 30, 22, 30, tzinfo=UTC), datetime(2030, 3, 31, 6, tzinfo=UTC)),
        (datetime(2030, 10, 26, 20, 30, tzinfo=UTC), datetime(2030, 10, 27, 7, tzinfo=UTC)),
        (datetime(2030, 7, 1, 2, tzinfo=UTC), datetime(2030, 7, 1, 6, tzinfo=UTC)),
        (datetime(2030, 7, 1, 12, tzinfo=UTC), datetime(2030, 7, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_mail_of_the_night_goes_at_eight_by_the_clock_on_the_wall(
    failed_at: datetime, due: datetime
) -> None:
    policy = Policy(mailings=(Mailing(0, "failed"),))
    facts = Facts(failed_at, DeclineKind.TRY_AGAIN, BERLIN)
    assert due_at(policy, policy.steps(facts.kind)[0], facts) == due


def test_in_the_hour_that_repeats_no_mail_goes_before_its_time() -> None:
    policy = Policy(mailings=(Mailing(0, "failed"),), quiet_from=60, quiet_to=165)
    failed_at = datetime(2030, 10, 27, 1, 30, tzinfo=UTC)  # 02:30 for the second time
    facts = Facts(failed_at, DeclineKind.TRY_AGAIN, BERLIN)
    assert due_at(policy, policy.steps(facts.kind)[0], facts) == failed_at + timedelta(minutes=15)


def test_a_card_that_ends_is_told_of_in_the_morning() -> None:
    last_day = datetime(2030, 3, 31).date()
    assert reminder_at(Policy(), last_day, 7, BERLIN) == datetime(2030, 3, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mailings": [{"day": 1, "mail": "a"}, {"day": 1, "mail": "b"}]}, "same day"),
        ({"mailings": [{"day": 14, "mail": "last"}]}, "before the day on which it ends"),
        ({"wall_day": 20}, "wall can't come after"),
        ({"end_day": 99}, "Days go from"),
        ({"weekdays": []}, "at least one weekday"),
        ({"quiet_from": 1440}, "Quiet hours"),
        ({"minimum_amount": -1}, "can't be negative"),
        ({"colour": "red"}, "has no colour"),
        ({"end": "explode"}, "can't be read"),
        ({"wall_day": "7"}, "can't be read"),
        ({"mailings": [{"day": True, "mail": "a"}]}, "can't be read"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused_in_words(
    changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidPolicy, match=sentence):
        Policy.of(Policy().as_rules() | changed)
