"""From an HTTP request under /v1 to Stripe's answer: key, idempotency, parameters, expand."""

import base64
import hashlib
import re
import threading
from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox.stripe import errors, faults, params, resources, routing, wheel
from sandbox.stripe.expand import expanded
from sandbox.stripe.ids import new_id
from sandbox.stripe.machine import Exchange, Machine
from sandbox.stripe.messages import Request, Response
from sandbox.stripe.store import Json, Row, dumps
from sandbox.stripe.world import Origin, World

_VERSION = re.compile(r"20\d\d-[01]\d-[0-3]\d(\.\w+)?")

assert resources.__all__, "importing the resources fills the table of routes"


@dataclass(slots=True)
class Attempt:
    """One API call on its way through the steps."""

    request: Request
    id: str
    account: str = ""
    key: str = ""
    route: routing.Route | None = None
    path: Json = field(default_factory=dict)
    raw: Json = field(default_factory=dict)
    replayed: str = ""
    fault: faults.Fault | None = None

    @property
    def stamp(self) -> tuple[str, str]:
        """What a repeated idempotency key must match: the route, and the parameters."""
        digest = hashlib.sha256(dumps(self.raw).encode()).hexdigest()
        return f"{self.request.method} {self.request.path}", digest


class Api:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._guard = threading.Lock()
        self._running: set[tuple[str, str]] = set()

    def answer(self, request: Request) -> Response:
        attempt = Attempt(request, new_id("request"))
        fault = self.machine.faults.take(request.method, request.path)
        if fault and not fault.after and fault.status != "slow":
            return self._fail(attempt, fault)
        attempt.fault = fault
        status, body = self._try(attempt)
        if fault and fault.status != "slow":
            return self._fail(attempt, fault)
        return self._respond(attempt, status, body)

    def _try(self, attempt: Attempt) -> tuple[int, Json]:
        try:
            self._identify(attempt)
            return self._once(attempt)
        except errors.ApiError as error:
            return error.status, error.body(attempt.id)

    def _respond(self, attempt: Attempt, status: int, body: Json) -> Response:
        request = attempt.request
        self.machine.note(Exchange(request.method, request.path, attempt.raw, status, body))
        response = Response.json(status, body)
        response.headers = {
            "Request-Id": attempt.id,
            "Stripe-Version": wheel.api_version(),
            "Cache-Control": "no-cache, no-store",
        }
        if attempt.key:
            response.headers["Idempotency-Key"] = attempt.key
        if attempt.replayed:
            response.headers["Idempotent-Replayed"] = "true"
            response.headers["Original-Request"] = attempt.replayed
        if status == 409 or status >= 500:
            response.headers["Stripe-Should-Retry"] = "true"
        return response

    def _fail(self, attempt: Attempt, fault: faults.Fault) -> Response:
        if isinstance(fault.status, int):
            error = faults.error_of(fault.status)
            response = Response.json(fault.status, error.body(attempt.id))
            response.headers = {"Request-Id": attempt.id, "Stripe-Version": wheel.api_version()}
            return response
        if fault.status == "timeout" and not fault.after:
            self.machine.sleep(fault.seconds)
        return Response(500, cut=True)

    # Who asks for what

    def _identify(self, attempt: Attempt) -> None:
        request = attempt.request
        attempt.account = self._account(request.header("Authorization"))
        attempt.key = request.header("Idempotency-Key") if request.method == "POST" else ""
        found = routing.match(request.method, request.path)
        if found is None:
            raise errors.unknown_route(request.method, request.path)
        attempt.route, attempt.path = found
        version = request.header("Stripe-Version")
        # Programs of another time are answered too, in this version's words.
        if version and not _VERSION.fullmatch(version):
            raise errors.invalid(f"Invalid Stripe API version: {version}")
        if len(attempt.key) > 255:
            raise errors.invalid("Idempotency keys can be at most 255 characters long.")
        encoded = request.body.decode() if request.method == "POST" else request.query
        attempt.raw = params.decode(encoded)

    def _account(self, authorization: str) -> str:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value).decode().partition(":")[0]
            except ValueError:
                value = ""
        if not value.strip():
            raise errors.no_key()
        account = self.machine.store.account_of(value.strip())
        if account is None:
            raise errors.bad_key(value.strip())
        return account

    # Once and only once

    def _once(self, attempt: Attempt) -> tuple[int, Json]:
        if not attempt.key:
            return self._slowly(attempt, self._run(attempt))
        claim = (attempt.account, attempt.key)
        with self._guard:
            if claim in self._running:
                raise errors.ApiError(
                    409,
                    "There is currently another in-progress request using this Stripe-Idempotency-"
                    f"Key (that probably means you submitted twice, and the other request is still "
                    f"going through): {attempt.key}. Please try again later.",
                    code="idempotency_key_in_use",
                )
            self._running.add(claim)
        try:
            # Whoever comes with the same key while this takes its time finds it in use.
            return self._slowly(attempt, self._replay(attempt) or self._run(attempt))
        finally:
            with self._guard:
                self._running.discard(claim)

    def _slowly(self, attempt: Attempt, result: tuple[int, Json]) -> tuple[int, Json]:
        if attempt.fault and attempt.fault.status in ("slow", "timeout"):
            self.machine.sleep(attempt.fault.seconds)
        return result

    def _replay(self, attempt: Attempt) -> tuple[int, Json] | None:
        stored = self.machine.store.one(
            "SELECT route, params, request, status, body FROM idempotency "
            "WHERE account=? AND key=?",
            (attempt.account, attempt.key),
        )
        if stored is None:
            return None
        route, sent = attempt.stamp
        if stored[0] != route:
            raise _mismatch(
                "Keys for idempotent requests can only be used for the same endpoint they were "
                f"first used for ('{route.partition(' ')[2]}' vs '{stored[0].partition(' ')[2]}'). "
                f"Try using a key other than '{attempt.key}' if you meant to execute a different "
                "request."
            )
        if stored[1] != sent:
            raise _mismatch(
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{attempt.key}' if you meant to "
                "execute a different request."
            )
        attempt.replayed = stored[2]
        return int(stored[3]), orjson.loads(stored[4])

    def _run(self, attempt: Attempt) -> tuple[int, Json]:
        assert attempt.route is not None
        checked = params.check(_spec(attempt.route), attempt.raw)
        paths = checked.pop("expand", None) or []
        origin = Origin(attempt.id, attempt.key or None)
        try:
            with self.machine.world(attempt.account, origin) as world:
                try:
                    status, body = 200, _call(world, attempt, checked, paths)
                except errors.ApiError as error:
                    if not error.keep:
                        raise
                    status, body = error.status, error.body(attempt.id)
                self._remember(attempt, status, body)
                return status, body
        except errors.InvalidParams:
            raise
        except errors.ApiError as error:
            # The effects are rolled back, yet the answer is the one this key gets from now on.
            body = error.body(attempt.id)
            self._remember(attempt, error.status, body)
            return error.status, body

    def _remember(self, attempt: Attempt, status: int, body: Json) -> None:
        if not attempt.key:
            return
        route, sent = attempt.stamp
        self.machine.store.run(
            "INSERT OR IGNORE INTO idempotency VALUES (?,?,?,?,?,?,?,?)",
            (
                attempt.account,
                attempt.key,
                route,
                sent,
                attempt.id,
                status,
                dumps(body),
                self.machine.clock.now(),
            ),
        )


def _spec(route: routing.Route) -> wheel.Record | None:
    return route.spec.params if route.spec else None


def _call(world: World, attempt: Attempt, checked: Json, paths: list[str]) -> Json:
    assert attempt.route is not None
    result: Any = attempt.route.handler(routing.Call(world, checked), **attempt.path)
    body: Json = result.body if isinstance(result, Row) else result
    return expanded(world, body, paths)


def _mismatch(message: str) -> errors.ApiError:
    return errors.ApiError(400, message, type="idempotency_error")
