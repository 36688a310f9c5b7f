"""When a failed payment is chased, and how: one pure computation from the invoice's age.

The clock, the preview and the simulator ask the same functions, so what they show is what happens.
Ages count in whole days of 24 hours from the first failed charge; mails move out of quiet hours,
the wall and the end never do.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Self
from zoneinfo import ZoneInfo

from webapp.billing.errors import InvalidPolicy
from webapp.billing.models import DeclineKind, StepAction

MINUTES = 24 * 60
LAST_DAY = 60
MORNING = time(9)


class EndAction(StrEnum):
    """What the last day does to the subscription; ``keep`` only closes the case.

    What is owed is owed all the same: banner and wall stay until it is paid.
    """

    CANCEL = "cancel"
    PAUSE = "pause"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """A day's deed. ``mail`` is the template; ``kinds`` limits it to some declines, empty: all."""

    day: int
    action: StepAction
    mail: str = ""
    kinds: frozenset[DeclineKind] = frozenset()

    @property
    def key(self) -> str:
        """Its name within a case: two steps of a policy never share one."""
        return f"{self.action.value}:{self.day}"

    def concerns(self, kind: DeclineKind) -> bool:
        return not self.kinds or kind in self.kinds


@dataclass(frozen=True, slots=True)
class Mailing:
    """A mail of the policy: its day, its template, and for which declines it is meant."""

    day: int
    mail: str
    kinds: frozenset[DeclineKind] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """A fork's way of chasing. Days count from the first failed charge, minutes from midnight."""

    mailings: tuple[Mailing, ...] = (
        Mailing(0, "failed"),
        Mailing(3, "reminder"),
        Mailing(7, "walled"),
        Mailing(10, "urgent"),
        Mailing(13, "last"),
    )
    banner: bool = True
    wall_day: int | None = 7
    end_day: int | None = 14
    end: EndAction = EndAction.CANCEL
    quiet_from: int = 21 * 60
    quiet_to: int = 8 * 60
    weekdays: frozenset[int] = frozenset(range(7))
    minimum_amount: int = 0
    excluded_plans: frozenset[str] = frozenset()
    excluded_reasons: frozenset[str] = frozenset({"subscription_create", "manual"})
    card_expiry_days: tuple[int, ...] = (30, 15, 7)

    @classmethod
    def of(cls, rules: dict[str, Any]) -> Self:
        """Read the JSON of a stored policy. Raises InvalidPolicy with a sentence for its author."""
        policy = cls(**_read(rules))
        _check(policy)
        return policy

    def as_rules(self) -> dict[str, Any]:
        """Return the JSON that ``of`` reads."""
        return {
            "mailings": [
                {"day": m.day, "mail": m.mail, "kinds": sorted(m.kinds)} for m in self.mailings
            ],
            "banner": self.banner,
            "wall_day": self.wall_day,
            "end_day": self.end_day,
            "end": self.end.value,
            "quiet_from": self.quiet_from,
            "quiet_to": self.quiet_to,
            "weekdays": sorted(self.weekdays),
            "minimum_amount": self.minimum_amount,
            "excluded_plans": sorted(self.excluded_plans),
            "excluded_reasons": sorted(self.excluded_reasons),
            "card_expiry_days": list(self.card_expiry_days),
        }

    def steps(self, kind: DeclineKind) -> list[Step]:
        """Return what a case of this kind goes through, in the order of its days."""
        steps = [Step(m.day, StepAction.MAIL, m.mail, m.kinds) for m in self.mailings]
        if self.wall_day is not None:
            steps.append(Step(self.wall_day, StepAction.WALL))
        if self.end_day is not None:
            steps.append(Step(self.end_day, StepAction.END))
        order = [StepAction.WALL, StepAction.MAIL, StepAction.END]
        concerned = [step for step in steps if step.concerns(kind)]
        return sorted(concerned, key=lambda step: (step.day, order.index(step.action)))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a schedule is computed from: when it began, why, and the hours its reader keeps."""

    opened_at: datetime
    kind: DeclineKind
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Due:
    step: Step
    at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done now, what was missed for good, and when to look again."""

    do: tuple[Due, ...] = ()
    missed: tuple[Due, ...] = ()
    next_at: datetime | None = None


def timeline(policy: Policy, facts: Facts) -> list[Due]:
    """Return every step with its moment, in the order of the moments."""
    dues = [Due(step, due_at(policy, step, facts)) for step in policy.steps(facts.kind)]
    return sorted(dues, key=lambda due: due.at)


def due_at(policy: Policy, step: Step, facts: Facts) -> datetime:
    """Return when a step is due: its day, for mails moved to an hour in which they may go."""
    at = facts.opened_at + timedelta(days=step.day)
    return _out_of_quiet(policy, at, facts.zone) if step.action is StepAction.MAIL else at


def reminder_at(policy: Policy, last_day: date, days: int, zone: ZoneInfo) -> datetime:
    """Return when to tell somebody that their card ends in ``days``: of a morning, in UTC."""
    morning = datetime.combine(last_day - timedelta(days=days), MORNING, zone)
    return _out_of_quiet(policy, morning.astimezone(UTC), zone)


def decide(policy: Policy, facts: Facts, taken: Collection[str], now: datetime) -> Decision:
    """Return what to do at ``now`` in a case whose steps named in ``taken`` are behind it.

    However long nobody looked, one mail goes at most: the latest that is due. With the end due,
    none goes at all.
    """
    open_steps = [due for due in timeline(policy, facts) if due.step.key not in taken]
    due = [step for step in open_steps if step.at <= now]
    later = [step for step in open_steps if step.at > now]
    mails = [step for step in due if step.step.action is StepAction.MAIL]
    others = [step for step in due if step.step.action is not StepAction.MAIL]
    ends = any(step.step.action is StepAction.END for step in others)
    if ends:
        # A mail that quiet days moved beyond the end is as late as one that was overslept.
        mails += [step for step in later if step.step.action is StepAction.MAIL]
    passed = _passed_by(taken, mails)
    latest = [] if ends else [step for step in mails[-1:] if step not in passed]
    missed = [step for step in mails if step not in latest]
    return Decision(
        do=(*others, *latest),
        missed=tuple(missed),
        next_at=None if ends else min((step.at for step in later), default=None),
    )


def _passed_by(taken: Collection[str], mails: Sequence[Due]) -> list[Due]:
    """Mails of days before one that already went: a changed decline kind brings no old ones up."""
    days = [int(key.partition(":")[2]) for key in taken if key.startswith(StepAction.MAIL.value)]
    return [mail for mail in mails if days and mail.step.day < max(days)]


def _out_of_quiet(policy: Policy, at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    if _is_quiet(policy, local.hour * 60 + local.minute):
        local = _next_time(local, policy.quiet_to)
    while local.weekday() not in policy.weekdays:
        local = _at_minute(local + timedelta(days=1), policy.quiet_to)
    return local.astimezone(at.tzinfo)


def _is_quiet(policy: Policy, minute: int) -> bool:
    if policy.quiet_from <= policy.quiet_to:
        return policy.quiet_from <= minute < policy.quiet_to
    return minute >= policy.quiet_from or minute < policy.quiet_to


def _next_time(local: datetime, minute: int) -> datetime:
    # In the hour that a clock turned back repeats, "later today" stays in the same pass of it.
    today = _at_minute(local, minute).replace(fold=local.fold)
    return today if today > local else _at_minute(local + timedelta(days=1), minute)


def _at_minute(local: datetime, minute: int) -> datetime:
    return datetime.combine(local.date(), time(minute // 60, minute % 60), local.tzinfo)


# Reading what an author wrote


def _read(rules: dict[str, Any]) -> dict[str, Any]:
    unknown = set(rules) - {field.name for field in fields(Policy)}
    if unknown:
        raise InvalidPolicy(f"A policy has no {', '.join(sorted(unknown))}.")
    try:
        return {name: _READERS[name](value) for name, value in rules.items()}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidPolicy(f"The policy can't be read: {error}.") from None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _maybe_whole(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _mailings(value: Any) -> tuple[Mailing, ...]:
    return tuple(
        Mailing(
            _whole(each["day"]),
            str(each["mail"]),
            frozenset(DeclineKind(kind) for kind in each.get("kinds", ())),
        )
        for each in value
    )


_READERS: dict[str, Any] = {
    "mailings": _mailings,
    "banner": bool,
    "wall_day": _maybe_whole,
    "end_day": _maybe_whole,
    "end": EndAction,
    "quiet_from": _whole,
    "quiet_to": _whole,
    "weekdays": lambda days: frozenset(_whole(day) for day in days),
    "minimum_amount": _whole,
    "excluded_plans": lambda slugs: frozenset(str(slug) for slug in slugs),
    "excluded_reasons": lambda reasons: frozenset(str(reason) for reason in reasons),
    "card_expiry_days": lambda days: tuple(_whole(day) for day in days),
}


def _check(policy: Policy) -> None:
    days = [mailing.day for mailing in policy.mailings]
    if len(set(days)) != len(days):
        raise InvalidPolicy("Two mails are set for the same day; one a day is enough.")
    ends = [day for day in (policy.wall_day, policy.end_day) if day is not None]
    if any(not 0 <= day <= LAST_DAY for day in [*days, *ends]):
        raise InvalidPolicy(f"Days go from 0 to {LAST_DAY}.")
    if policy.end_day is not None and any(day >= policy.end_day for day in days):
        raise InvalidPolicy("A mail must go before the day on which it ends.")
    if None not in (policy.wall_day, policy.end_day) and max(ends) != policy.end_day:
        raise InvalidPolicy("The wall can't come after the end.")
    if not (0 <= policy.quiet_from < MINUTES and 0 <= policy.quiet_to < MINUTES):
        raise InvalidPolicy("Quiet hours go from 0 to 1439 minutes after midnight.")
    if not policy.weekdays or not policy.weekdays <= set(range(7)):
        raise InvalidPolicy("Mails need at least one weekday: 0 is Monday, 6 is Sunday.")
    if policy.minimum_amount < 0 or any(day < 0 for day in policy.card_expiry_days):
        raise InvalidPolicy("Amounts and days can't be negative.")
