"""Who comes to the shop, and what will happen to each of them: drawn once, from a seed."""

import random
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from itertools import count

GOOD_CARD = "4242424242424242"
ATTACHES_THEN_FAILS = "4000000000000341"
ASKS_EVERY_TIME = "4000002760003184"
PASSWORD = "Harbour-Light-7!"


class Cure(StrEnum):
    """What ends somebody's trouble with their card."""

    BANK = "bank"  # the card works again by itself, and a retry gets through
    MAIL = "mail"  # by the link in the newest mail, without logging in
    LOGIN = "login"  # by logging in and leaving another card
    PORTAL = "portal"  # in Stripe's portal
    CONSENT = "consent"  # by telling the bank that it is really them
    NEVER = "never"


class Want(StrEnum):
    CHANGE = "change"
    OTHER_INTERVAL = "other interval"
    CANCEL = "cancel"
    RESUME = "resume"
    TAKE_OFFER = "take the offer"
    GO_ON = "go on"
    END_NOW = "end now"
    COUPON = "coupon"
    SEATS = "seats"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Trouble:
    """From a day after the arrival the bank refuses; ``after``: how many days later it is cured."""

    day: int
    code: str
    cure: Cure
    after: int


@dataclass(frozen=True, slots=True)
class Wish:
    day: int
    want: Want


@dataclass(frozen=True, slots=True)
class Persona:
    """One customer to be. ``comes_back``: whether they wait for the page after paying."""

    number: int
    arrives: int
    plan: str
    interval: str
    card: str
    expiry: str
    comes_back: bool
    trouble: Trouble | None
    wishes: tuple[Wish, ...]

    @property
    def email(self) -> str:
        return f"customer-{self.number}@clock-run.example"

    def is_out_of_date(self, today: date) -> bool:
        """Whether their first card's last month is over."""
        month, _, year = self.expiry.partition("/")
        return (2000 + int(year), int(month)) < (today.year, today.month)

    @property
    def address(self) -> str:
        return f"10.{self.number >> 16 & 255}.{self.number >> 8 & 255}.{self.number & 255}"


#: How often of a hundred each trouble comes, and how it is cured.
TROUBLES: tuple[tuple[int, str, Cure], ...] = (
    (9, "insufficient_funds", Cure.BANK),
    (5, "insufficient_funds", Cure.MAIL),
    (6, "expired_card", Cure.MAIL),
    (4, "expired_card", Cure.NEVER),
    (5, "lost_card", Cure.MAIL),
    (4, "lost_card", Cure.LOGIN),
    (4, "generic_decline", Cure.BANK),
    (4, "generic_decline", Cure.PORTAL),
    (5, "do_not_honor", Cure.NEVER),
    (5, "authentication_required", Cure.CONSENT),
    (4, "authentication_required", Cure.MAIL),
    (5, "stolen_card", Cure.LOGIN),
)
#: Cards that are in trouble from the first: they attach, and the first renewal fails.
BORN: tuple[tuple[int, str, Cure], ...] = (
    (3, ATTACHES_THEN_FAILS, Cure.MAIL),
    (3, ATTACHES_THEN_FAILS, Cure.NEVER),
    (2, ASKS_EVERY_TIME, Cure.CONSENT),
    (2, ASKS_EVERY_TIME, Cure.LOGIN),
)
WISHES = {
    Want.CHANGE: 6,
    Want.OTHER_INTERVAL: 3,
    Want.CANCEL: 4,
    Want.TAKE_OFFER: 3,
    Want.END_NOW: 2,
    Want.COUPON: 3,
    Want.SEATS: 2,
}


def draw(customers: int, days: int, seed: int) -> list[Persona]:
    """Return everybody who will come, in the order of their arrival."""
    people = [_draw_one(number, days, seed) for number in range(1, customers + 1)]
    return sorted(people, key=lambda each: (each.arrives, each.number))


def _draw_one(number: int, days: int, seed: int) -> Persona:
    chance = random.Random(f"{seed}:{number}")  # not for secrets
    arrives = chance.randint(0, max(days * 3 // 5, 1))
    stays = max(days - arrives, 8)
    card, trouble = _fate(chance, stays)
    plan = chance.choices(("basic", "pro", "team"), (5, 4, 2))[0]
    if card != GOOD_CARD and plan == "basic":
        plan = "pro"  # without a trial such a card would never become a subscription
    return Persona(
        number=number,
        arrives=arrives,
        plan=plan,
        interval=chance.choices(("month", "year"), (6, 1))[0],
        card=card,
        expiry=_expiry(chance),
        comes_back=chance.random() < 0.5,
        trouble=trouble,
        wishes=_wishes(chance, stays),
    )


def _expiry(chance: random.Random) -> str:
    """One card in ten ends within the run's year."""
    if chance.random() < 0.1:
        return f"{chance.randint(6, 12):02}/30"
    return "12/39"


def _fate(chance: random.Random, stays: int) -> tuple[str, Trouble | None]:
    lot = chance.randrange(100)
    for weight, card, cure in BORN:
        lot -= weight
        if lot < 0:
            return card, Trouble(0, "", cure, chance.randint(1, 12))
    for weight, code, cure in TROUBLES:
        lot -= weight
        if lot < 0:
            day = chance.randint(2, max(stays // 2, 3))
            return GOOD_CARD, Trouble(day, code, cure, chance.randint(1, 12))
    return GOOD_CARD, None


def _wishes(chance: random.Random, stays: int) -> tuple[Wish, ...]:
    found: list[Wish] = []
    for want in chance.choices(list(WISHES), list(WISHES.values()), k=chance.choice((0, 1, 1, 2))):
        day = chance.randint(3, max(stays - 1, 4))
        found.append(Wish(day, want))
        if want is Want.CANCEL and chance.random() < 0.4:
            found.append(Wish(day + chance.randint(1, 10), Want.RESUME))
        if want is Want.TAKE_OFFER and chance.random() < 0.5:
            found.append(Wish(day + chance.randint(5, 50), Want.GO_ON))
        if want in (Want.CANCEL, Want.END_NOW) and chance.random() < 0.5:
            found.append(Wish(day + chance.randint(35, 80), Want.RETURN))
    if chance.random() < 0.3:
        found.append(Wish(chance.randint(40, 200), Want.RETURN))
    return _one_a_day(found)


def _one_a_day(wishes: list[Wish]) -> tuple[Wish, ...]:
    """What somebody did is known everywhere at the day's end: their next wish waits for that."""
    days: dict[int, Wish] = {}
    for wish in wishes:
        day = next(day for day in count(wish.day) if day not in days)
        days[day] = replace(wish, day=day)
    return tuple(days[day] for day in sorted(days))
