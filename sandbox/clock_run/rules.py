"""The default policy of chasing, written down a second time as a person reads it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

MAIL_DAYS = (0, 3, 7, 10, 13)
WALL_DAY, END_DAY = 7, 14
WALL, END = f"wall:{WALL_DAY}", f"end:{END_DAY}"
QUIET_FROM, QUIET_TO = time(21), time(8)
DONE, MISSED = "done", "missed"


@dataclass(frozen=True, slots=True)
class Planned:
    key: str
    due: datetime


def plan(opened_at: datetime) -> list[Planned]:
    """Return every step with its moment, in their order."""
    mails = [Planned(f"mail:{day}", _awake(opened_at + timedelta(days=day))) for day in MAIL_DAYS]
    wall = Planned(WALL, opened_at + timedelta(days=WALL_DAY))
    end = Planned(END, opened_at + timedelta(days=END_DAY))
    return sorted([*mails, wall, end], key=lambda each: each.due)


def act(opened_at: datetime, looks: Iterable[datetime]) -> dict[str, str]:
    """What somebody would have done by these looks: the latest mail that is due, and the rest."""
    steps = plan(opened_at)
    taken: dict[str, str] = {}
    for look in looks:
        due = [each for each in steps if each.due <= look and each.key not in taken]
        mails = [each for each in due if each.key.startswith("mail")]
        ends = any(each.key == END for each in due)
        if ends:
            mails = [e for e in steps if e.key.startswith("mail") and e.key not in taken]
        for each in due:
            taken[each.key] = DONE
        for each in mails:
            taken[each.key] = DONE if each is mails[-1] and not ends else MISSED
    return taken


def _awake(moment: datetime) -> datetime:
    """The first moment from then on that is no quiet hour."""
    if moment.timetz().replace(tzinfo=None) >= QUIET_FROM:
        moment = datetime.combine(moment.date() + timedelta(days=1), QUIET_TO, moment.tzinfo)
    elif moment.timetz().replace(tzinfo=None) < QUIET_TO:
        moment = datetime.combine(moment.date(), QUIET_TO, moment.tzinfo)
    return moment
