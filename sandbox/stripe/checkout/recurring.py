"""What a subscription costs, in the words that people read: now, after a trial, in the end."""

from dataclasses import dataclass

from sandbox.stripe import money
from sandbox.stripe.checkout import discounts, lines, totals
from sandbox.stripe.checkout.expiry import DAY
from sandbox.stripe.hosted import date
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


@dataclass(frozen=True, slots=True)
class Words:
    """What a page says at its top and on its button."""

    title: str
    due: str
    big: str
    then: str
    total: str
    button: str
    consent: str = ""


def every(recurring: Json) -> str:
    """`a month`, `every 3 months`."""
    count, interval = recurring["interval_count"], recurring["interval"]
    if count == 1:
        return f"a {interval}"
    return f"every {count} {interval}s"


def priced(amount: int, currency: str, recurring: Json) -> str:
    """`€9.00 a month`."""
    return f"{money.written(amount, currency)} {every(recurring)}"


def words_of(world: World, session: Row) -> Words:
    """The words of a session in subscription mode."""
    items = [line for line in session.private["lines"] if line["price"]["recurring"]]
    name = items[0]["description"]
    regular = _regular(world, session, items, discounted=False)
    big, then = _now_and_then(world, session, items, regular)
    trial = trial_end(world, session)
    amount = money.written(session.body["amount_total"], session.body["currency"])
    shop = session.body["branding_settings"]["display_name"]
    return Words(
        title=f"Subscribe to {name}",
        due=f"Try {name}" if trial else f"Subscribe to {name}",
        big=big,
        then=then,
        total="Due today",
        button="Start trial" if trial else f"Subscribe and pay {amount}",
        consent=f"{shop} charges this card when the time comes, until you cancel.",
    )


def trial_end(world: World, session: Row) -> int | None:
    """When the first charge comes if the session offers a trial."""
    data = session.private["subscription_data"]
    customer = world.find("customer", session.body["customer"])
    if customer is not None:
        world.live_with(customer)
    if data.get("trial_period_days"):
        return int(world.now + data["trial_period_days"] * DAY)
    return int(data["trial_end"]) if data.get("trial_end") else None


def _now_and_then(world: World, session: Row, items: list[Json], regular: str) -> tuple[str, str]:
    reduced = _regular(world, session, items, discounted=True)
    coupon = world.find("coupon", session.private["coupon"])
    first, later = regular, ""
    if coupon is not None and reduced != regular:
        first = reduced
        months = coupon.body["duration_in_months"]
        match coupon.body["duration"]:
            case "once":
                later = f", then {regular}"
            case "repeating":
                later = f" for {months} month{'' if months == 1 else 's'}, then {regular}"
    end = trial_end(world, session)
    if end is None:
        return first, later.removeprefix(", ").removeprefix(" ").capitalize()
    data = session.private["subscription_data"]
    days = data.get("trial_period_days") or (end - world.now + DAY - 1) // DAY
    return f"{days} day{'' if days == 1 else 's'} free", f"Then {first}{later}, from {date(end)}"


def _regular(world: World, session: Row, items: list[Json], *, discounted: bool) -> str:
    """What each period costs, taxes included."""
    offer = discounts.offer_of(world, session) if discounted else None
    sums = totals.totals(
        [
            totals.Line(lines.whole_amount(i), i["product"]["id"], tuple(i["tax_rates"]))
            for i in items
        ],
        offer,
        0,
    )
    return priced(sums.total, session.body["currency"], items[0]["price"]["recurring"])
