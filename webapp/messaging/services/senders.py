"""Who bulk mail comes from: addresses of the shop, each with the limits its reputation allows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db, take_turns
from webapp.core.shop import get_shop
from webapp.messaging.errors import InvalidSender, NoSuchSender, SenderOff, SenderTaken
from webapp.messaging.models import MailSender
from webapp.messaging.services.composing import checked_address, named_address

MAX_NAME, MAX_RATE, MAX_DAYS = 100, 1_000_000_000, 366


def _today() -> date:
    return clock.now().date()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a mail comes from, and what may leave in that name today. None is no limit.

    Ask for it anew for each lease: limits change, and ``day`` (UTC) ends at midnight.
    """

    name: str
    address: str
    reply_to: str | None
    sender_id: int | None = None
    per_second: int | None = None
    domain_per_second: int | None = None
    day_limit_today: int | None = None
    day: date = field(default_factory=_today)

    @property
    def named(self) -> str:
        """The value of the From header: ``"Name, Inc." <address>``."""
        return named_address(self.name, self.address)


@dataclass(frozen=True, slots=True)
class SenderDetails:
    """What may change about a sender. ``warmup`` is mails a day from ``warmup_from`` on."""

    name: str
    address: str
    reply_to: str = ""
    active: bool = True
    per_second: int | None = None
    per_day: int | None = None
    domain_per_second: int | None = None
    warmup_from: date | None = None
    warmup: Sequence[int] = ()


def create_sender(details: SenderDetails, by: Actor) -> MailSender:
    """Make a sender; flushes. Raises InvalidSender, InvalidAddress, InvalidHeader, SenderTaken."""
    values = _checked(details)
    statement = insert(MailSender).values(values).on_conflict_do_nothing(index_elements=["address"])
    sender: MailSender | None = db.session.scalar(statement.returning(MailSender))
    if sender is None:
        raise SenderTaken
    record(by, "sender.created", f"sender:{sender.id}")
    db.session.flush()
    return sender


def edit_sender(sender_id: int, details: SenderDetails, by: Actor) -> MailSender:
    """Change a sender; flushes. Raises as ``create_sender`` does, and NoSuchSender."""
    sender = db.session.get(MailSender, sender_id, with_for_update=True, populate_existing=True)
    if sender is None:
        raise NoSuchSender
    values = _checked(details)
    if sender.is_default and not details.active:
        raise InvalidSender("Make another sender the default before you switch this one off.")
    taken = select(MailSender.id).where(MailSender.address == values["address"])
    if db.session.scalar(taken.where(MailSender.id != sender_id)) is not None:
        raise SenderTaken
    changed = [name for name, value in values.items() if getattr(sender, name) != value]
    for name in changed:
        setattr(sender, name, values[name])
    if changed:
        record(by, "sender.edited", f"sender:{sender.id}", fields=changed)
    db.session.flush()
    return sender


def make_default(sender_id: int, by: Actor) -> MailSender:
    """Let mails that name no sender come from this one; flushes. Raises NoSuchSender, SenderOff."""
    # Two who choose different ones take turns: there is never more than one default.
    take_turns("mail_sender:default")
    sender = db.session.get(MailSender, sender_id, with_for_update=True, populate_existing=True)
    if sender is None:
        raise NoSuchSender
    if not sender.active:
        raise SenderOff(sender.name)
    if sender.is_default:
        return sender
    others = update(MailSender).where(MailSender.is_default, MailSender.id != sender_id)
    db.session.execute(others.values(is_default=False))
    sender.is_default = True
    record(by, "sender.made_default", f"sender:{sender.id}")
    db.session.flush()
    return sender


def sender_for(sender_id: int | None) -> Identity:
    """Return who mail comes from; None asks for the default sender, else the shop itself.

    Raises NoSuchSender or SenderOff.
    """
    wanted = MailSender.is_default if sender_id is None else MailSender.id == sender_id
    fresh = {"populate_existing": True}
    sender = db.session.scalar(select(MailSender).where(wanted), execution_options=fresh)
    if sender is None:
        if sender_id is not None:
            raise NoSuchSender
        return shop_itself()
    if not sender.active:
        raise SenderOff(sender.name)
    today = _today()
    return Identity(
        name=sender.name,
        address=sender.address,
        reply_to=sender.reply_to,
        sender_id=sender.id,
        per_second=sender.per_second,
        domain_per_second=sender.domain_per_second,
        day_limit_today=day_limit(sender, today),
        day=today,
    )


def shop_itself() -> Identity:
    """Return the shop as a sender without limits: who transactional mails come from."""
    shop = get_shop()
    reply_to = checked_address(shop.support_email, "reply address") if shop.support_email else None
    return Identity(
        shop.sender_name or shop.name, checked_address(shop.sender_email, "sender"), reply_to
    )


def day_limit(sender: MailSender, day: date) -> int | None:
    """Return how many mails may leave on a day (UTC): the lower of its own limit and the plan's.

    Before the plan begins its first figure holds; after its end only ``per_day``. None: no limit.
    """
    limits = [] if sender.per_day is None else [sender.per_day]
    if sender.warmup_from is not None and sender.warmup:
        number = max((day - sender.warmup_from).days, 0)
        limits += sender.warmup[number : number + 1]
    return min(limits, default=None)


def _checked(details: SenderDetails) -> dict[str, object]:
    name = details.name.strip()
    if not name or len(name) > MAX_NAME:
        raise InvalidSender(f"Give the sender a name of up to {MAX_NAME} characters.")
    address = checked_address(details.address, "sender")
    named_address(name, address)
    reply_to = details.reply_to.strip()
    rates = {
        "per_second": details.per_second,
        "per_day": details.per_day,
        "domain_per_second": details.domain_per_second,
    }
    if not all(rate is None or 0 < rate <= MAX_RATE for rate in rates.values()):
        raise InvalidSender("A limit is a whole number above 0, or nothing for no limit.")
    return rates | {
        "name": name,
        "address": address,
        "reply_to": checked_address(reply_to, "reply address") if reply_to else None,
        "active": details.active,
        "warmup_from": details.warmup_from,
        "warmup": _checked_warmup(details),
    }


def _checked_warmup(details: SenderDetails) -> list[int]:
    plan = list(details.warmup)
    if bool(plan) != (details.warmup_from is not None):
        raise InvalidSender("A warm-up needs both its first day and its mails for each day.")
    if len(plan) > MAX_DAYS:
        raise InvalidSender(f"A warm-up lasts {MAX_DAYS} days at the most.")
    if not all(0 < mails <= MAX_RATE for mails in plan):
        raise InvalidSender("Each day of a warm-up has a whole number of mails above 0.")
    return plan
