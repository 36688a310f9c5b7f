"""The control address under /_sandbox/: what no Stripe offers and every test wants."""

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.stripe import contract, errors
from sandbox.stripe.checkout import expiry, form, pay
from sandbox.stripe.deliveries import Chaos
from sandbox.stripe.machine import Machine
from sandbox.stripe.messages import Request, Response, read_json
from sandbox.stripe.resources import refunds, webhook_endpoints
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World

Handler = Callable[["Ask"], Any]
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


class NotFound(Exception):
    """Nothing of that name."""


def on(method: str, path: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        pattern = re.compile("^/_sandbox" + re.sub(r"\*", "([^/]+)", path) + "$")
        _ROUTES.append((method, pattern, handler))
        return handler

    return register


@dataclass(frozen=True, slots=True)
class Ask:
    """One control call: what was sent, and the id in its address."""

    machine: Machine
    body: Json
    id: str = ""

    def account(self, kind: str) -> str:
        """The account of the object named in the address."""
        account = self.machine.store.owner(kind, self.id)
        if account is None:
            raise NotFound(f"No {kind} {self.id}.")
        return account


class Control:
    """Answers control calls; problems are 400 or 404 with {"error": sentence}."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def answer(self, request: Request) -> Response:
        for method, pattern, handler in _ROUTES:
            found = pattern.match(request.path)
            if found and method == request.method:
                return self._run(handler, request, "".join(found.groups()))
        return Response.json(404, {"error": f"No control address {request.path}."})

    def _run(self, handler: Handler, request: Request, id: str) -> Response:
        try:
            return Response.json(200, handler(Ask(self.machine, read_json(request.body), id)))
        except NotFound as error:
            return Response.json(404, {"error": str(error)})
        except errors.ApiError as error:
            return Response.json(error.status, {"error": error.message})
        except ValueError as error:
            return Response.json(400, {"error": str(error)})


@on("GET", "/health")
def _health(ask: Ask) -> Json:
    machine = ask.machine
    pending = machine.store.one("SELECT count(*) FROM deliveries WHERE state='pending'")
    return {
        "ok": True,
        "url": machine.base_url,
        "now": machine.clock.now(),
        "pending_deliveries": pending[0] if pending else 0,
    }


# Deliveries


@on("GET", "/chaos")
def _get_chaos(ask: Ask) -> Json:
    return asdict(ask.machine.courier.chaos)


@on("POST", "/chaos")
def _set_chaos(ask: Ask) -> Json:
    return asdict(ask.machine.courier.set_chaos(ask.body))


@on("DELETE", "/chaos")
def _end_chaos(ask: Ask) -> Json:
    return asdict(ask.machine.courier.set_chaos(asdict(Chaos())))


@on("GET", "/deliveries")
def _deliveries(ask: Ask) -> Json:
    return {"data": ask.machine.courier.listed(None)}


@on("POST", "/deliveries/flush")
def _flush(ask: Ask) -> Json:
    return ask.machine.courier.flush(float(ask.body.get("timeout", 30)))


@on("POST", "/deliveries/wait")
def _wait(ask: Ask) -> Json:
    return {"idle": ask.machine.wait_idle(float(ask.body.get("timeout", 10)))}


@on("POST", "/events/*/deliver")
def _deliver(ask: Ask) -> Json:
    account = ask.account("event")
    with ask.machine.world(account) as world:
        event = world.get("event", ask.id)
        endpoints = [
            row for row in world.rows("webhook_endpoint") if row.body["status"] == "enabled"
        ]
        queued = ask.machine.courier.again(event, endpoints, int(ask.body.get("times", 1)))
    if ask.body.get("wait"):
        ask.machine.wait_idle(30)
    return {"queued": len(queued), "deliveries": queued}


@on("POST", "/webhook_endpoints/*/roll")
def _roll(ask: Ask) -> Json:
    account = ask.account("webhook_endpoint")
    with ask.machine.world(account) as world:
        row = world.get("webhook_endpoint", ask.id)
        secret = webhook_endpoints.roll(world, row, float(ask.body.get("overlap_s", 86_400)))
        return {"id": row.id, "secret": secret}


# Sessions and refunds


def _session(world: World, id: str) -> Row:
    return expiry.expire_if_due(world, world.get("checkout.session", id, "session"))


def _open(session: Row) -> None:
    if session.body["status"] != "open":
        raise ValueError(f"The session is {session.body['status']}.")


@on("POST", "/sessions/*/pay")
def _pay(ask: Ask) -> Json:
    """Complete a session as the page would; {"authenticate": "fail"} refuses at the bank."""
    account = ask.account("checkout.session")
    agreed = ask.body.pop("authenticate", "complete") != "fail"
    outcome_wanted, after = ask.body.pop("async_outcome", None), ask.body.pop("async_after", None)
    with ask.machine.world(account) as world:
        session = _session(world, ask.id)
        _open(session)
        buyer = form.buyer_with_defaults(session, ask.body)
        outcome = pay.pay(world, session, buyer)
        if isinstance(outcome, pay.NeedsBank):
            kind = "setup_intent" if outcome.intent.startswith("seti_") else "payment_intent"
            intent = world.get(kind, outcome.intent)
            outcome = pay.answer_bank(world, session, intent, agreed)
        waiting = session.body["payment_status"] == "unpaid"
        if after is not None and waiting and session.body["status"] == "complete":
            what = "async_failed" if outcome_wanted == "failed" else "async_succeeded"
            world.set_timer(session.id, what, world.now + int(after))
        return _told(session, outcome)


def _told(session: Row, outcome: pay.Outcome) -> Json:
    told: Json = {
        "session": session.id,
        "status": session.body["status"],
        "payment_status": session.body["payment_status"],
        "payment_intent": session.body["payment_intent"],
        "setup_intent": session.body["setup_intent"],
        "subscription": session.body["subscription"],
        "success_url": form.success_url(session),
        "outcome": type(outcome).__name__.lower(),
    }
    if isinstance(outcome, pay.Declined):
        told["message"] = outcome.decline.message
        told["code"] = outcome.decline.code
        told["decline_code"] = outcome.decline.decline_code
    if isinstance(outcome, pay.Invalid):
        told["faults"] = outcome.faults
    return told


@on("POST", "/sessions/*/expire")
def _expire(ask: Ask) -> Json:
    account = ask.account("checkout.session")
    with ask.machine.world(account) as world:
        session = _session(world, ask.id)
        _open(session)
        expiry.expire(world, session)
        return {"session": session.id, "status": session.body["status"]}


@on("POST", "/sessions/*/async")
def _async(ask: Ask) -> Json:
    outcome = ask.body.get("outcome", "succeeded")
    if outcome not in ("succeeded", "failed"):
        raise ValueError('The outcome is "succeeded" or "failed".')
    account = ask.account("checkout.session")
    with ask.machine.world(account) as world:
        session = world.get("checkout.session", ask.id, "session")
        pay.settle(world, session, outcome == "succeeded")
        return {"session": session.id, "payment_status": session.body["payment_status"]}


@on("POST", "/refunds/*")
def _refund(ask: Ask) -> Json:
    status = ask.body.get("status")
    if status not in ("succeeded", "failed"):
        raise ValueError('The status is "succeeded" or "failed".')
    account = ask.account("refund")
    with ask.machine.world(account) as world:
        refund = world.get("refund", ask.id)
        refunds.finish(world, refund, status == "succeeded")
        return {"refund": refund.id, "status": refund.body["status"]}


# Keys, time, failures, contract


@on("POST", "/keys")
def _key(ask: Ask) -> Json:
    key = str(ask.body.get("key", ""))
    account = ask.machine.ensure_key(key)
    told: Json = {"key": key, "account": account}
    if ask.body.get("webhook"):
        endpoint = ask.machine.ensure_endpoint(
            account, str(ask.body["webhook"]), ask.body.get("webhook_secret")
        )
        told["webhook_endpoint"] = endpoint.id
        told["webhook_secret"] = webhook_endpoints.current_secret(endpoint)
    return told


@on("GET", "/clock")
def _clock(ask: Ask) -> Json:
    clock = ask.machine.clock
    return {"now": clock.now(), "offset": clock.offset}


@on("POST", "/clock")
def _move(ask: Ask) -> Json:
    """{"advance": seconds}, {"now": timestamp} or {"reset": true}."""
    machine = ask.machine
    offset = machine.clock.offset
    if ask.body.get("reset"):
        offset = 0.0
    elif "now" in ask.body:
        offset = float(ask.body["now"]) - time.time()
    else:
        offset += float(ask.body.get("advance", 0))
    machine.move_clock(offset)
    return {"now": machine.clock.now(), "offset": offset}


@on("GET", "/fail")
def _failures(ask: Ask) -> Json:
    return {"data": ask.machine.faults.listed()}


@on("POST", "/fail")
def _fail(ask: Ask) -> Json:
    return ask.machine.faults.add(ask.body).as_json()


@on("DELETE", "/fail")
def _heal(ask: Ask) -> Json:
    ask.machine.faults.clear()
    return {"data": []}


@on("GET", "/violations")
def _violations(ask: Ask) -> Json:
    """Every recorded call that breaks the wheel's types."""
    found = []
    for exchange in list(ask.machine.exchanges):
        broken = contract.violations(exchange)
        if broken:
            found.append({"call": f"{exchange.method} {exchange.path}", "violations": broken})
    return {"checked": len(ask.machine.exchanges), "data": found}
