"""One lease on its way out: claimed, addressed within the limits, handed over, settled."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from functools import cache
from zoneinfo import ZoneInfo

from sqlalchemy import select

from webapp.campaigns.codes import write_code, write_leaving
from webapp.campaigns.models import Email, EmailState, RecipientState
from webapp.campaigns.services.sending import leases
from webapp.campaigns.services.sending.leases import Claimed, Fate, Lease
from webapp.campaigns.services.sending.letters import Addressee, header
from webapp.campaigns.services.sending.plans import Plan, load_plan
from webapp.campaigns.services.settings import get_settings
from webapp.core import clock
from webapp.core.db import db
from webapp.messaging.bounces import judge_reply
from webapp.messaging.errors import InvalidAddress, InvalidHeader
from webapp.messaging.gateway import Envelope, Handover, Outcome, Result, current_bulk_gateway
from webapp.messaging.gateway.dkim import current_signer
from webapp.messaging.services import limits
from webapp.messaging.services.bouncing import Refusal, note_refusals
from webapp.messaging.services.composing import checked_address

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
SMALLEST, WANTED_SECONDS, LONGEST_SECONDS = 10, 1.0, 2.0
# As many in a row that no recipient is to blame for mean that the server wants nothing now, or
# nothing of ours: what is left must not fail with them.
AMISS_IN_A_ROW = 10
SERVER_REST_SECONDS = 15.0
NEXT_DAY_SECONDS = 600.0

UNWRITABLE = "It can't be written with what we know of this recipient."


class _Pace:
    """How many mails this process's mail server takes in about a second: the size of a lease.

    So progress moves and a lease is soon over, also where a server takes five mails a second.
    """

    def __init__(self) -> None:
        self._a_second = float(leases.SIZE)

    def size(self) -> int:
        return max(SMALLEST, min(leases.SIZE, round(self._a_second * WANTED_SECONDS)))

    def learn(self, mails: int, seconds: float) -> None:
        """Remember how long so many mails took; what took no time says nothing."""
        if mails and seconds > 0:
            self._a_second = mails / seconds


_pace = _Pace()


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one lease; ``wait`` seconds before the mail is worth another one."""

    sent: int = 0
    wait: float = 0.0


def send_lease(email_id: int) -> Turn:
    """Send to some hundred due recipients of a mail at most once each; commits as it goes.

    A process that dies anywhere in it loses nothing and repeats nothing: see ``leases``.
    """
    plan = load_plan(email_id)
    if plan is None or not _is_open_now(plan.email):
        db.session.rollback()
        return Turn(wait=LOOK_SECONDS if plan is None else NEXT_DAY_SECONDS)
    size = min(_pace.size(), plan.identity.per_second or leases.SIZE)
    taken = limits.take_of_day(plan.identity, size)
    if not taken:
        db.session.rollback()
        return Turn(wait=NEXT_DAY_SECONDS)
    lease = leases.claim(email_id, plan.topic, taken)
    if lease is None:
        return Turn(wait=LOOK_SECONDS)
    began = time.monotonic()
    try:
        passage = _Passage(plan, lease)
        passage.hand_over()
        _pace.learn(passage.sent, time.monotonic() - began)
        limits.give_back_of_day(plan.identity, taken - passage.gone)
        passage.note_refused()
    except BaseException:
        # Let go of the journal: whoever looks next settles the lease by it, this process too.
        db.session.rollback()
        lease.journal.close()
        raise
    leases.end(lease, passage.fates())
    passage.learn()
    return Turn(passage.sent, passage.wait)


def _is_open_now(email: Email) -> bool:
    """Whether the send window is open; recipients' own zones are in their due times."""
    if email.window_from is None or email.window_to is None or email.in_recipients_zone:
        return True
    local = clock.now().astimezone(ZoneInfo(get_settings().time_zone))
    return email.window_from <= local.hour * 60 + local.minute < email.window_to


@dataclass(frozen=True, slots=True)
class _Stop:
    """One to call at: the place in the lease, and the address as it goes on the wire."""

    place: int
    recipient: Claimed
    address: str
    domain: str


@dataclass(slots=True)
class _Passage:
    """A lease between its claim and its end."""

    plan: Plan
    lease: Lease
    wait: float = 0.0
    _fates: dict[int, Fate] = field(default_factory=dict)
    # Those handed to the gateway, in its order.
    _stops: list[_Stop] = field(default_factory=list)
    _put_off: Counter[str] = field(default_factory=Counter)
    _in_a_row: int = 0
    _refusals: list[Refusal] = field(default_factory=list)

    def hand_over(self) -> None:
        allowed = self._within_limits(list(self._addressable()))
        go_on = _Permission(self.lease.email_id)
        parcels = self._parcels(allowed)
        for result in current_bulk_gateway().send(parcels, self, lambda: self._may(go_on)):
            stop = self._stops[result.index]
            self.lease.journal.settle(stop.place, result.handover)
            self._note(stop, result)

    def _addressable(self) -> Iterator[_Stop]:
        """Yield those that can be addressed at all; the others have failed."""
        for place, each in enumerate(self.lease.recipients):
            try:
                address = checked_address(each.address, "recipient")
            except (InvalidAddress, InvalidHeader) as error:
                self._fates[each.id] = Fate(each.id, RecipientState.FAILED, error.sentence)
            else:
                yield _Stop(place, each, address, address.rpartition("@")[2])

    def _within_limits(self, wanted: Sequence[_Stop]) -> list[_Stop]:
        """Return those that may leave this second; the others wait as long as they must."""
        now = clock.now()
        waits = limits.held_back()
        asked = Counter(stop.domain for stop in wanted if stop.domain not in waits)
        allowance = limits.take(self.plan.identity, asked)
        db.session.commit()
        left = Counter(allowance.granted)
        waits = waits | allowance.wait
        allowed = []
        for stop in wanted:
            if left[stop.domain] > 0:
                left[stop.domain] -= 1
                allowed.append(stop)
            else:
                due_at = now + timedelta(seconds=waits.get(stop.domain, 1.0))
                each = stop.recipient.id
                self._fates[each] = leases.untouched(each, due_at)
        if not allowed:
            self.wait = min(waits.values(), default=1.0)
        return allowed

    def _parcels(self, allowed: Sequence[_Stop]) -> Iterator[Envelope]:
        plan, email_id, signer = self.plan, self.lease.email_id, current_signer()
        date = header("Date", format_datetime(clock.now()))
        letter_for = cache(plan.letter)
        for stop in allowed:
            if stop.domain in self._put_off:
                continue
            each = stop.recipient
            code = write_code(email_id, each.id, each.secret)
            leaving = write_leaving(plan.leaving_key, email_id, each.id)
            letter = letter_for(each.variant, each.tracked)
            try:
                content = letter.render(Addressee(stop.address, code, leaving, each.fields), date)
            except Exception as error:
                # One person's values must not hold up the others, nor be tried at once for ever.
                self._give_up(each, type(error).__name__)
                continue
            if signer is not None:
                content = signer.sign(content) + content
            self._stops.append(stop)
            yield Envelope(code, plan.return_path(code), stop.address, content)

    def _give_up(self, each: Claimed, why: str) -> None:
        facts = {"email_id": self.lease.email_id, "recipient_id": each.id, "why": why}
        logger.error("mail not written", extra=facts)
        unwritten = Handover(Outcome.DEFERRED, UNWRITABLE)
        self._fates[each.id] = leases.fate_of(each.id, each.attempts, unwritten)

    def _may(self, go_on: Callable[[], bool]) -> bool:
        return self._in_a_row < AMISS_IN_A_ROW and go_on()

    def _note(self, stop: _Stop, result: Result) -> None:
        each, handover = stop.recipient, result.handover
        if result.away:
            # Nobody's domain is to blame, and no recipient's try is used up.
            self._fates[each.id] = leases.untouched(each.id)
            self.wait = SERVER_REST_SECONDS
            return
        self._fates[each.id] = leases.fate_of(each.id, each.attempts, handover)
        self._in_a_row = self._in_a_row + 1 if _is_amiss(handover) else 0
        put_off = handover.outcome is Outcome.DEFERRED
        hung_up = put_off and not handover.status.isdigit()
        if hung_up or self._in_a_row >= AMISS_IN_A_ROW:
            self.wait = SERVER_REST_SECONDS
        if put_off and not hung_up:
            self._put_off[stop.domain] += 1
        if handover.outcome is Outcome.REFUSED:
            code = write_code(self.lease.email_id, each.id, each.secret)
            self._refusals.append(Refusal(code, each.address, handover.reply, clock.now()))

    def begin(self, index: int) -> None:
        """Mark in the lease's journal, by its places, what the gateway counts from the first."""
        self.lease.journal.begin(self._stops[index].place)

    @property
    def sent(self) -> int:
        return sum(fate.state is RecipientState.SENT for fate in self._fates.values())

    @property
    def gone(self) -> int:
        """How many count for the day: those in doubt may have been taken."""
        left = (RecipientState.SENT, RecipientState.UNKNOWN)
        return sum(fate.state in left for fate in self._fates.values())

    def fates(self) -> list[Fate]:
        """Return everybody's fate; whom the gateway never came to goes back untouched."""
        back = (each for each in self.lease.recipients if each.id not in self._fates)
        return [*self._fates.values(), *(leases.untouched(each.id) for each in back)]

    def note_refused(self) -> None:
        """Have the suppression list know what the servers refused; flushes."""
        if self._refusals:
            note_refusals(self._refusals)

    def learn(self) -> None:
        """Let the next leases know how the domains took it."""
        for domain in self._put_off:
            limits.hold_back(domain)
        through = {
            stop.domain
            for stop in self._stops
            if (fate := self._fates.get(stop.recipient.id)) and fate.state is RecipientState.SENT
        }
        limits.let_go(*(through - self._put_off.keys()))


def _is_amiss(handover: Handover) -> bool:
    """Whether a try went wrong in a way that says nothing of its recipient."""
    match handover.outcome:
        case Outcome.DEFERRED | Outcome.IN_DOUBT:
            return True
        case Outcome.REFUSED:
            return not judge_reply(handover.reply).blames_address
    return False


class _Permission:
    """Whether to send one more: not after a pause, nor when the lease has lasted long enough."""

    def __init__(self, email_id: int) -> None:
        self._email_id = email_id
        self._until = time.monotonic() + LONGEST_SECONDS
        self._look_at = 0.0
        self._granted = True

    def __call__(self) -> bool:
        now = time.monotonic()
        if now >= self._look_at:
            self._granted = now < self._until and _is_sending(self._email_id)
            self._look_at = now + LOOK_SECONDS
        return self._granted


def _is_sending(email_id: int) -> bool:
    state = db.session.scalar(select(Email.state).where(Email.id == email_id))
    db.session.commit()
    return state in (EmailState.SENDING, EmailState.AUTOMATED)
