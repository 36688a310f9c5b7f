"""The days of all customers: who arrives, whose card dies, who mends it, who changes their mind."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Lock

import requests

from sandbox.browser import NotThereError
from sandbox.clock_run.days import Days
from sandbox.clock_run.mailbox import Mailbox
from sandbox.clock_run.people import GOOD_CARD, Cure, Persona, Want
from sandbox.clock_run.resending import resend
from sandbox.clock_run.site import Site
from sandbox.clock_run.stripe import Stripe, StripeSaysNo
from sandbox.clock_run.visiting import LASTING, TurnedAwayError, Visitor

#: How many are at the shop at the same time.
ABREAST = 4
STANDING = """
    SELECT c.stripe_customer_id, s.stripe_id, s.status, s.item_id, s.stripe_price_id,
           s.cancel_at_period_end, s.pause_behavior IS NOT NULL
    FROM billing_customer c
    LEFT JOIN subscription s ON s.customer_id = c.id
         AND s.status NOT IN ('canceled', 'incomplete_expired') AND NOT s.duplicate
    WHERE c.email = %s
"""
OWING = """
    SELECT c.email, min(d.opened_at)
    FROM dunning_case d JOIN billing_customer c ON c.id = d.customer_id
    WHERE d.state = 'open' GROUP BY c.email
"""
PRICES = """
    SELECT p.slug, pp.interval, pp.id, pp.stripe_price_id
    FROM plan_price pp JOIN plan p ON p.id = pp.plan_id WHERE pp.retired_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a customer stands with the shop, as far as anybody needs it to know what to do next."""

    customer: str | None
    subscription: str | None
    status: str | None
    item: str | None
    price: str | None
    ends: bool
    rests: bool


@dataclass(slots=True)
class Town:
    """Everybody, and what they did so far."""

    site: Site
    stripe: Stripe
    mailbox: Mailbox
    days: Days
    people: list[Persona]
    deeds: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    _visitors: dict[int, Visitor] = field(default_factory=dict)
    _cured: set[int] = field(default_factory=set)
    # Since when whoever is chased owes: asked once a day, and not for each of them.
    _owing: dict[str, datetime] = field(default_factory=dict)
    _prices: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    _counting: Lock = field(default_factory=Lock)

    def live(self, day: int) -> None:
        """Let everybody do what they do on this day, several at once.

        Whoever is new comes while the day's jobs run; the others find them done.
        """
        arriving = [persona for persona in self.people if persona.arrives == day]
        with ThreadPoolExecutor(ABREAST) as crowd:
            coming = crowd.map(partial(self._try, "arrive", self._arrive), arriving)
            self.days.settle()
            self.days.timed("living", partial(self._live_on, day, crowd, coming, arriving))

    def _live_on(
        self, day: int, crowd: Executor, coming: Iterator[None], arriving: list[Persona]
    ) -> None:
        if arriving:
            list(coming)
            # The mail that asks them to confirm their address comes meanwhile.
            self.days.rest()
        self._look_after_mails()
        self._owing = dict(self.site.ask(OWING))
        confirming = crowd.map(partial(self._try, "confirm", self._confirm), arriving)
        settled = [persona for persona in self.people if persona.arrives < day]
        list(crowd.map(partial(self._have_a_day, day), settled))
        list(confirming)

    def _look_after_mails(self) -> None:
        """A mail whose sender died over it is sent again by a person alone."""
        if self.site.mortal and resend(self.site, self.mailbox):
            self.days.rest()

    def _arrive(self, persona: Persona) -> str:
        visitor = self._visitor(persona)
        visitor.sign_up()
        price_id, _ = self._price(persona.plan, persona.interval)
        try:
            return visitor.subscribe(price_id, persona.card, persona.expiry)
        except TurnedAwayError as error:
            if error.outcome == "declined" and persona.is_out_of_date(self.days.now().date()):
                return "card out of date"
            raise

    def _confirm(self, persona: Persona) -> str:
        self._visitor(persona).confirm_address()
        return "done"

    def _have_a_day(self, day: int, persona: Persona) -> None:
        age, trouble = day - persona.arrives, persona.trouble
        if trouble is not None and trouble.code and trouble.day == age:
            self._try(f"card says {trouble.code}", self._card_dies, persona)
        if trouble is not None and trouble.cure is not Cure.NEVER and age >= trouble.day:
            self._cure_when_due(persona)
        for wish in persona.wishes:
            if wish.day == age:
                self._try(wish.want.value, partial(DEEDS[wish.want], self), persona)

    def _card_dies(self, persona: Persona) -> str:
        assert persona.trouble
        standing = self._standing(persona)
        if standing.customer is None or standing.subscription is None:
            return "not now"
        self._set_card(standing.customer, persona.trouble.code)
        return "done"

    def _set_card(self, customer: str, code: str | None) -> None:
        self.stripe.control("cards", customer=customer, decline_code=code)

    def _cure_when_due(self, persona: Persona) -> None:
        assert persona.trouble
        if persona.number in self._cured:
            return
        since = self._owing.get(persona.email)
        if since is not None and (self.days.now() - since).days >= persona.trouble.after:
            self._cured.add(persona.number)
            self._try(f"cure by {persona.trouble.cure.value}", self._cure, persona)

    def _cure(self, persona: Persona) -> str:
        assert persona.trouble
        visitor = self._visitor(persona)
        match persona.trouble.cure:
            case Cure.BANK:
                self._set_card(str(self._standing(persona).customer), None)
                return "done"
            case Cure.MAIL:
                return visitor.follow_card_link()
            case Cure.LOGIN:
                return visitor.leave_card()
            case Cure.PORTAL:
                return visitor.use_portal()
            case _:
                return visitor.consent()

    # Wishes

    def _change(self, persona: Persona) -> str:
        """To the next plan by the same rhythm; from the last to the first."""
        plan, interval = self._current(persona)
        slugs = ["basic", "pro", "team"]
        other = slugs[(slugs.index(plan) + 1) % 3] if plan else persona.plan
        return self._change_to(persona, other, interval)

    def _change_interval(self, persona: Persona) -> str:
        plan, interval = self._current(persona)
        return self._change_to(persona, plan or "pro", "year" if interval == "month" else "month")

    def _change_to(self, persona: Persona, plan: str, interval: str) -> str:
        standing = self._standing(persona)
        if standing.status not in ("active", "trialing") or standing.ends or standing.rests:
            return "not now"
        return self._visitor(persona).change(self._price(plan, interval)[0])

    def _cancel(self, persona: Persona) -> str:
        return self._leave(persona, "leave")

    def _take_offer(self, persona: Persona) -> str:
        return self._leave(persona, "stay")

    def _leave(self, persona: Persona, decision: str) -> str:
        standing = self._standing(persona)
        if standing.subscription is None or standing.ends:
            return "not now"
        return self._visitor(persona).cancel(decision)

    def _resume(self, persona: Persona) -> str:
        if not self._standing(persona).ends:
            return "not now"
        return self._visitor(persona).press("/billing/resume")

    def _go_on(self, persona: Persona) -> str:
        page = self._visitor(persona).go("/billing")
        if "/billing/unpause" not in (page.html.html or ""):
            return "not now"
        return self._visitor(persona).press("/billing/unpause")

    def _end_now(self, persona: Persona) -> str:
        """Somebody at the shop ends it in Stripe's dashboard."""
        standing = self._standing(persona)
        if standing.subscription is None:
            return "not now"
        self.stripe.delete(f"subscriptions/{standing.subscription}")
        return "done"

    def _coupon(self, persona: Persona) -> str:
        """Somebody at the shop gives a discount in Stripe's dashboard."""
        standing = self._standing(persona)
        if standing.subscription is None:
            return "not now"
        kinds = ({"percent_off": 25}, {"amount_off": 300, "currency": "usd"})
        spans = ({"duration": "forever"}, {"duration": "repeating", "duration_in_months": 3})
        terms = kinds[persona.number % 2] | spans[persona.number // 2 % 2]
        coupon = self.stripe.post("coupons", **terms)
        self.stripe.post(
            f"subscriptions/{standing.subscription}", **{"discounts[0][coupon]": coupon["id"]}
        )
        return "done"

    def _seats(self, persona: Persona) -> str:
        """Somebody at the shop sets a quantity in Stripe's dashboard."""
        standing = self._standing(persona)
        if standing.subscription is None or standing.status != "active":
            return "not now"
        wanted = {"items[0][id]": standing.item, "items[0][quantity]": 2 + persona.number % 3}
        self.stripe.post(f"subscriptions/{standing.subscription}", **wanted)
        return "done"

    def _return(self, persona: Persona) -> str:
        if self._standing(persona).subscription is not None:
            return "not now"
        price_id, _ = self._price(persona.plan, persona.interval)
        visitor = self._visitor(persona)
        # Logged out meanwhile, they would be shown the prices without the buttons.
        visitor.go("/billing")
        return visitor.subscribe(price_id, GOOD_CARD, LASTING)

    # What they know

    def _visitor(self, persona: Persona) -> Visitor:
        if persona.number not in self._visitors:
            visitor = Visitor(persona, self.site.web_url, self.stripe, self.mailbox)
            self._visitors[persona.number] = visitor
        return self._visitors[persona.number]

    def _standing(self, persona: Persona) -> Standing:
        rows = self.site.ask(STANDING, persona.email)
        if not rows:
            return Standing(None, None, None, None, None, ends=False, rests=False)
        customer, subscription, status, item, price, ends, rests = rows[0]
        return Standing(customer, subscription, status, item, price, bool(ends), bool(rests))

    def _current(self, persona: Persona) -> tuple[str | None, str]:
        price = self._standing(persona).price
        self._price(persona.plan, persona.interval)
        for (plan, interval), (_, stripe_id) in self._prices.items():
            if stripe_id == price:
                return plan, interval
        return None, "month"

    def _price(self, plan: str, interval: str) -> tuple[int, str]:
        if not self._prices:
            self._prices = {
                (slug, every): (price_id, stripe_id)
                for slug, every, price_id, stripe_id in self.site.ask(PRICES)
            }
        return self._prices[(plan, interval)]

    def _try(self, what: str, deed: Callable[[Persona], str], persona: Persona) -> None:
        """Do it and count what became of it; what should have been there and wasn't is a breach."""
        try:
            outcome = deed(persona)
        except (NotThereError, TurnedAwayError, StripeSaysNo, requests.RequestException) as error:
            outcome = error.outcome if isinstance(error, TurnedAwayError) else "failed"
            day = (self.days.now() - self.days.first).days
            self.breaches.append(f"Day {day}, customer {persona.number}, {what}: {error}")
        with self._counting:
            self.deeds[f"{what}: {outcome}"] += 1


DEEDS: dict[Want, Callable[[Town, Persona], str]] = {
    Want.CHANGE: Town._change,
    Want.OTHER_INTERVAL: Town._change_interval,
    Want.CANCEL: Town._cancel,
    Want.RESUME: Town._resume,
    Want.TAKE_OFFER: Town._take_offer,
    Want.GO_ON: Town._go_on,
    Want.END_NOW: Town._end_now,
    Want.COUPON: Town._coupon,
    Want.SEATS: Town._seats,
    Want.RETURN: Town._return,
}
