"""The hosted page: where a buyer reads the order, types a test card, pays, or walks away."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jinja2
from babel import Locale

from sandbox.stripe import money
from sandbox.stripe.checkout import choices, expiry, form, pay
from sandbox.stripe.checkout.buyer import email_of
from sandbox.stripe.messages import Request, Response
from sandbox.stripe.resources import payment_intents
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

if TYPE_CHECKING:
    from sandbox.stripe.machine import Machine

_DEBIT_WORDS = {
    "sepa_debit": ("SEPA Direct Debit", "IBAN"),
    "us_bank_account": ("US bank account", "Account number"),
    "bacs_debit": ("Bacs Direct Debit", "Account number"),
    "acss_debit": ("Pre-authorized debit", "Account number"),
    "au_becs_debit": ("BECS Direct Debit", "Account number"),
}
_FIELD_OF_PARAM = {
    "number": "card_number",
    "exp_month": "expiry",
    "exp_year": "expiry",
    "cvc": "cvc",
}


@cache
def _environment() -> jinja2.Environment:
    folder = Path(__file__).resolve().parent.parent / "pages"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["money"] = money.written
    return environment


def render(name: str, **values: Any) -> str:
    return _environment().get_template(name).render(**values)


@cache
def country_names() -> dict[str, str]:
    names = Locale("en").territories
    return {code: str(name) for code, name in names.items() if re.fullmatch(r"[A-Z]{2}", code)}


def _countries(allowed: list[str] | None) -> list[tuple[str, str]]:
    names = country_names()
    codes = allowed or sorted(code for code in names if code not in ("EU", "UN", "EZ", "ZZ"))
    return sorted(((code, names.get(code, code)) for code in codes), key=lambda pair: pair[1])


class Pages:
    """Answers everything a browser asks for."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = [
            ("GET", re.compile(r"^/c/pay/([^/]+)$"), self.show),
            ("POST", re.compile(r"^/c/pay/([^/]+)$"), self.submit),
            ("GET", re.compile(r"^/c/authenticate/([^/]+)$"), self.bank),
            ("POST", re.compile(r"^/c/authenticate/([^/]+)$"), self.answer_bank),
            ("GET", re.compile(r"^/c/recover/([^/]+)$"), self.recover),
            ("GET", re.compile(r"^/c/receipt/([^/]+)$"), self.receipt),
            ("GET", re.compile(r"^/$"), self.front),
        ]

    def answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        for wanted, pattern, handler in self._routes:
            found = pattern.match(request.path)
            if found and wanted == method:
                return handler(request, *found.groups())
        return _sentence(404, "Nothing here", "There is no such page.")

    def _account(self, kind: str, id: str) -> str | None:
        return self.machine.store.owner(kind, id)

    # The page

    def show(self, _request: Request, id: str) -> Response:
        account = self._account("checkout.session", id)
        if account is None:
            return _sentence(404, "Nothing here", "There is no such checkout session.")
        with self.machine.world(account) as world:
            session = expiry.expire_if_due(world, world.get("checkout.session", id))
            return _closed(session) or _page(world, session, {}, {}, 200)

    def submit(self, request: Request, id: str) -> Response:
        account = self._account("checkout.session", id)
        if account is None:
            return _sentence(404, "Nothing here", "There is no such checkout session.")
        sent = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        with self.machine.world(account) as world:
            session = expiry.expire_if_due(world, world.get("checkout.session", id))
            if session.body["status"] == "complete":
                # The buyer clicked twice: the first click paid.
                return Response.redirect(form.success_url(session))
            closed = _closed(session)
            if closed:
                return closed
            if sent.get("action", "pay") != "pay":
                return _change(world, session, sent)
            return _pay(world, session, sent)

    # The bank's page

    def bank(self, _request: Request, id: str) -> Response:
        account = self._account("payment_intent", id)
        if account is None:
            return _sentence(404, "Nothing here", "There is no such payment.")
        with self.machine.world(account) as world:
            intent = world.get("payment_intent", id)
            if intent.body["status"] != "requires_action":
                return _sentence(410, "Already answered", "This payment needs no confirmation.")
            method = world.get("payment_method", intent.body["payment_method"])
            text = render("bank.html", intent=intent.body, card=method.body["card"])
            return Response.html(200, text)

    def answer_bank(self, request: Request, id: str) -> Response:
        account = self._account("payment_intent", id)
        if account is None:
            return _sentence(404, "Nothing here", "There is no such payment.")
        sent = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        with self.machine.world(account) as world:
            intent = world.get("payment_intent", id)
            agreed = sent.get("outcome") == "complete"
            session = world.find("checkout.session", intent.private.get("session"))
            if session is None:
                return _answer_alone(world, intent, agreed)
            expiry.expire_if_due(world, session)
            if session.body["status"] == "complete":
                return Response.redirect(form.success_url(session))
            closed = _closed(session)
            if closed or intent.body["status"] != "requires_action":
                return closed or _page(world, session, {}, {}, 200)
            outcome = pay.answer_bank(world, session, intent, agreed)
            return _respond(world, session, {}, outcome)

    # After the end

    def recover(self, _request: Request, id: str) -> Response:
        """A new session in place of one that expired, if it was made to be recovered."""
        account = self._account("checkout.session", id)
        if account is None:
            return _sentence(404, "Nothing here", "There is no such checkout session.")
        with self.machine.world(account) as world:
            old = world.get("checkout.session", id)
            recovery = (old.body["after_expiration"] or {}).get("recovery") or {}
            if not recovery.get("url") or recovery["expires_at"] <= world.now:
                return _sentence(410, "Too late", "This order can't be picked up again.")
            fresh = _recovered(world, old, recovery)
            return Response.redirect(str(fresh.body["url"]))

    def receipt(self, _request: Request, id: str) -> Response:
        account = self._account("charge", id)
        if account is None:
            return _sentence(404, "Nothing here", "There is no such receipt.")
        with self.machine.world(account) as world:
            charge = world.get("charge", id).body
            amount = money.written(charge["amount_captured"], charge["currency"])
            return _sentence(200, "Receipt", f"{amount} was paid. Charge {id}.")

    def front(self, _request: Request) -> Response:
        rows = self.machine.store.all(
            "SELECT id, body FROM objects WHERE kind='checkout.session' ORDER BY seq DESC LIMIT 20"
        )
        sessions = [_summary(body) for _, body in rows]
        deliveries = self.machine.courier.listed(None, 20)
        text = render("front.html", sessions=sessions, deliveries=deliveries)
        return Response.html(200, text)


def _summary(text: str) -> Json:
    body: Json = json.loads(text)
    return body


def _recovered(world: World, old: Row, recovery: Json) -> Row:
    body: Json = {
        **old.body,
        "after_expiration": None,
        "allow_promotion_codes": recovery["allow_promotion_codes"],
        "expires_at": world.now + expiry.DAY,
        "payment_intent": None,
        "recovered_from": old.id,
        "status": "open",
    }
    for name in ("id", "created"):
        body.pop(name)
    private = {name: value for name, value in old.private.items() if name != "buyer"}
    fresh = world.add("checkout.session", body, private)
    fresh.body["url"] = f"{world.base_url}/c/pay/{fresh.id}"
    world.save(fresh)
    world.set_timer(fresh.id, "expire", fresh.body["expires_at"])
    return fresh


def _sentence(status: int, title: str, text: str, link: str = "", label: str = "") -> Response:
    page = render("sentence.html", title=title, text=text, link=link, label=label)
    return Response.html(status, page)


def _closed(session: Row) -> Response | None:
    """The sentence for a session nobody can pay any more."""
    status = session.body["status"]
    if status == "complete":
        link = form.success_url(session)
        return _sentence(
            200, "All done here", "You've already paid this order.", link, "Back to the shop"
        )
    if status == "expired":
        link = session.body["cancel_url"] or ""
        return _sentence(
            410,
            "This checkout has expired",
            "Too much time has passed, and nothing was charged. Please start again from the shop.",
            link,
            "Back to the shop",
        )
    return None


def _answer_alone(world: World, intent: Row, agreed: bool) -> Response:
    """The bank's answer to a payment that no session made."""
    if intent.body["status"] != "requires_action":
        return _sentence(410, "Already answered", "This payment needs no confirmation.")
    back = intent.body["next_action"]["redirect_to_url"]["return_url"]
    decline = payment_intents.answer_bank(world, intent, agreed)
    if decline is None and intent.body["status"] == "succeeded":
        payment_intents.book(world, intent)
    if back:
        join = "&" if "?" in back else "?"
        return Response.redirect(f"{back}{join}payment_intent={intent.id}")
    return _sentence(200, "Thank you", "You can close this page.")


def _pay(world: World, session: Row, sent: dict[str, str]) -> Response:
    buyer = form.buyer_of(sent)
    faults = choices.choose(world, session, buyer)
    total = session.body["amount_total"]
    if not faults and sent.get("shown_total", str(total)) != str(total):
        # Nobody pays a figure they haven't seen.
        words = money.written(total, session.body["currency"])
        faults = {"total": f"The total is now {words}. Please look at it and pay again."}
    if faults:
        return _page(world, session, sent, faults, 422)
    return _respond(world, session, sent, pay.pay(world, session, buyer))


def _change(world: World, session: Row, sent: dict[str, str]) -> Response:
    """A button other than Pay: another way to ship, or a code put on or taken off."""
    faults: dict[str, str] = {}
    option = sent.get("shipping_option")
    if option and not choices.choose_shipping(world, session, option):
        faults["shipping_option"] = "Choose one of the ways to ship."
    if sent["action"] == "remove_promotion":
        choices.apply_code(world, session, "")
        sent.pop("promotion_code", None)
    elif sent["action"] == "apply_promotion":
        code = sent.get("promotion_code", "")
        refusal = choices.apply_code(world, session, code) if code.strip() else "Enter a code."
        if refusal:
            faults["promotion_code"] = refusal
    return _page(world, session, sent, faults, 422 if faults else 200)


def _respond(world: World, session: Row, sent: dict[str, str], outcome: pay.Outcome) -> Response:
    match outcome:
        case pay.Completed():
            return Response.redirect(form.success_url(session))
        case pay.NeedsBank(intent):
            return Response.redirect(f"{world.base_url}/c/authenticate/{intent}")
        case pay.Declined(decline):
            faults = {"payment": decline.message}
            if decline.param in _FIELD_OF_PARAM:
                faults[_FIELD_OF_PARAM[decline.param]] = decline.message
            return _page(world, session, sent, faults, 402)
        case pay.Invalid(faults):
            return _page(world, session, sent, faults, 422)


def _page(
    world: World, session: Row, sent: dict[str, str], faults: dict[str, str], status: int
) -> Response:
    body = session.body
    collection = body["shipping_address_collection"]
    debit = next((type for type in body["payment_method_types"] if type != "card"), None)
    text = render(
        "pay.html",
        session=body,
        shop=body["branding_settings"]["display_name"],
        lines=[_line(line, body["currency"]) for line in session.private["lines"]],
        shipping=_ways(world, session),
        chosen=session.private["shipping"],
        discount=_discount_words(world, session),
        taxes=_tax_words(session),
        email=email_of(world, session),
        address=bool(collection) or body["billing_address_collection"] == "required",
        ships=bool(collection),
        countries=_countries(collection["allowed_countries"] if collection else None),
        all_countries=_countries(None),
        phone=body["phone_number_collection"]["enabled"],
        card="card" in body["payment_method_types"],
        debit=_DEBIT_WORDS[debit] if debit else None,
        free=body["amount_total"] == 0,
        sent=sent,
        faults=faults,
    )
    return Response.html(status, text)


def _line(line: Json, currency: str) -> Json:
    unit = Decimal(line["price"]["unit_amount_decimal"])
    each = money.written(int(unit), currency) if unit == int(unit) else str(unit)
    images = line["product"]["images"]
    return {
        "name": line["description"],
        "description": line["product"]["description"],
        "image": images[0] if images else None,
        "initial": line["description"][:1].upper(),
        "quantity": line["quantity"],
        "each": each,
        "amount": line["amounts"]["amount_subtotal"],
    }


_UNITS = {"business_day": "business day"}


def _span(estimate: Json | None) -> str:
    """`3-5 business days` out of a rate's delivery estimate."""
    if not estimate:
        return ""
    low, high = estimate.get("minimum"), estimate.get("maximum")
    last = high or low
    if not last:
        return ""
    unit = _UNITS.get(last["unit"], last["unit"])
    many = "" if last["value"] == 1 else "s"
    if low and high and low != high:
        return f"{low['value']}\N{EN DASH}{high['value']} {unit}{many}"
    return f"{last['value']} {unit}{many}"


def _ways(world: World, session: Row) -> list[Json]:
    ways = []
    for option in session.body["shipping_options"]:
        rate = world.get("shipping_rate", option["shipping_rate"])
        ways.append(
            {
                "id": rate.id,
                "name": rate.body["display_name"],
                "span": _span(rate.body["delivery_estimate"]),
                "amount": option["shipping_amount"],
            }
        )
    return ways


def _discount_words(world: World, session: Row) -> str:
    """What the discount is called on the page."""
    coupon = world.find("coupon", session.private["coupon"])
    code = world.find("promotion_code", session.private["promotion_code"])
    if code:
        return str(code.body["code"])
    return str((coupon.body.get("name") if coupon else "") or "Discount")


def _tax_words(session: Row) -> list[Json]:
    """Taxes by rate, as the summary lists them."""
    found: dict[str, Json] = {}
    for line in session.private["lines"]:
        for tax in line["taxes"]:
            rate = tax["rate"]
            percent = f"{rate['percentage']:g}\N{NARROW NO-BREAK SPACE}%"
            included = ", included" if rate["inclusive"] else ""
            name = f"{rate['display_name']} ({percent}{included})"
            entry = found.setdefault(rate["id"], {"name": name, "amount": 0})
            entry["amount"] += tax["amount"]
    return list(found.values())
