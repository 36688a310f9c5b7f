"""Requests nobody would write, repeatable by seed and number, sent to every route there is."""

import json
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import quote

from flask import Flask
from flask.testing import FlaskClient

from tests.attacks import nasty
from tests.attacks.pages import Form, Page
from tests.attacks.routes import Route, open_routes, routes_of

METHODS = ["GET", "GET", "GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"]
ODD_METHODS = ["TRACE", "CONNECT", "PROPFIND", "EVIL", "get"]
# Where Stripe would be asked, which isn't there: "we can't answer just now" is the right answer.
UNAVAILABLE = (502, 503, 504)


@dataclass(slots=True)
class Shot:
    """One request."""

    number: int
    who: str
    method: str
    path: str
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    fields: list[tuple[str, str]] | None = None
    files: list[tuple[str, str, bytes]] = field(default_factory=list)
    body: bytes | None = None
    kind: str | None = None

    def __str__(self) -> str:
        sent = self.fields if self.fields is not None else self.body
        return (
            f"#{self.number} {self.who}: {self.method} {self.path[:150]}?{self.query[:150]} "
            f"{[(n, v[:80]) for n, v in self.headers]} {self.kind} {str(sent)[:600]}"
            f" {[f[:2] for f in self.files]}"
        )


@dataclass(slots=True)
class Material:
    """What shots are made of: the routes, real ids and tokens, and the forms pages offer."""

    routes: list[Route]
    ids: list[str]
    forms: list[tuple[str, Form]]
    who: list[str]

    def fields_for(self, route: Route, dice: random.Random) -> list[tuple[str, str]]:
        """Return a form that goes to about here, or one of any page."""
        stem = route.rule.partition("<")[0]
        fitting = [form for action, form in self.forms if action.startswith(stem)]
        if fitting and dice.random() < 0.85:
            chosen = dice.choice(fitting)
        elif self.forms:
            chosen = dice.choice(self.forms)[1]
        else:
            return []
        fields = [(each.name, each.value) for each in chosen.fields if each.name]
        presses = [(each.name, each.value) for each in chosen.buttons if each.name]
        return fields + ([dice.choice(presses)] if presses else [])


class Gun:
    """Makes the shot of a number: the same for the same seed, routes and forms."""

    def __init__(self, material: Material, seed: int) -> None:
        self.material = material
        self.seed = seed

    def shot(self, number: int) -> Shot:
        dice = random.Random(f"{self.seed}:{number}")
        route = dice.choice(self.material.routes)
        method = self._method(route, dice)
        made = Shot(number, dice.choice(self.material.who), method, self._path(route, dice))
        if dice.random() < 0.3:
            made.query = self._query(dice)
        for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
            name = dice.choice(list(nasty.HEADERS))
            made.headers.append((name, dice.choice(nasty.HEADERS[name])))
        if method not in ("GET", "HEAD", "OPTIONS"):
            self._load(made, route, dice)
        return made

    def _method(self, route: Route, dice: random.Random) -> str:
        if dice.random() < 0.85:
            return dice.choice(sorted(route.methods))
        return dice.choice(METHODS if dice.random() < 0.8 else ODD_METHODS)

    def _path(self, route: Route, dice: random.Random) -> str:
        if dice.random() < 0.04:
            return dice.choice(nasty.PATHS)
        values: dict[str, object] = {}
        for argument in route.arguments:
            if argument.kind != "any" or dice.random() < 0.2:
                values[argument.name] = self._value(dice, "")
        return route.address(values)[:9000]

    def _value(self, dice: random.Random, given: str) -> str:
        kind = dice.random()
        if kind < 0.35 and given:
            return given
        if kind < 0.5:
            return dice.choice(self.material.ids)
        if kind < 0.93:
            return dice.choice(nasty.TEXTS)
        return "".join(chr(dice.randrange(1, 0xD7FF)) for _ in range(dice.randrange(1, 60)))

    def _query(self, dice: random.Random) -> str:
        if dice.random() < 0.4:
            return dice.choice(nasty.QUERIES)
        names = ["id", "page", "sort", "desc", "search", "next", "code", "state", "q", "status"]
        names += ["session_id", "kind", "from", "to", "token", "key", "page_size", "view", "topic"]
        chosen = [dice.choice(names) for _ in range(dice.randrange(1, 4))]
        return "&".join(f"{name}={quote(self._value(dice, ''), safe='')}" for name in chosen)

    def _load(self, made: Shot, route: Route, dice: random.Random) -> None:
        """Give the shot a body: mostly a form with some fields wrong."""
        kind = dice.random()
        if kind < 0.72:
            fields = self.material.fields_for(route, dice)
            made.fields = [
                (n, self._value(dice, v) if self._spoils(dice) else v) for n, v in fields
            ]
            if dice.random() < 0.2 and made.fields:
                made.fields.append(dice.choice(made.fields))
            if dice.random() < 0.1 and made.fields:
                made.fields.remove(dice.choice(made.fields))
            if dice.random() < 0.06:
                name = dice.choice(made.fields)[0] if made.fields else "file"
                made.files.append(
                    (name, dice.choice(nasty.TEXTS)[:200] or "x", b"\xff\xd8\xff\x00")
                )
        elif kind < 0.9:
            made.body, made.kind = dice.choice(nasty.JSONS), "application/json"
        elif kind < 0.97:
            made.body = dice.randbytes(dice.randrange(0, 300))
            made.kind = dice.choice(nasty.HEADERS["Content-Type"])
        else:
            made.fields = [(f"a{number}", "x") for number in range(1500)]

    @staticmethod
    def _spoils(dice: random.Random) -> bool:
        return dice.random() < 0.45


class _Overheard(logging.Handler):
    """Keeps the last mistake the app wrote down."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0]:
            self.last = logging.Formatter().formatException(record.exc_info)


@dataclass(slots=True)
class Wound:
    """A shot that went through."""

    shot: Shot
    status: int
    why: str

    def __str__(self) -> str:
        return f"{self.status} by {self.shot}\n{self.why[-1500:]}"


def fire(app: Flask, gun: Gun, numbers: Iterable[int], log_in: Any) -> tuple[list[Wound], int]:
    """Send the shots; returns those answered with our mistake, and how many were answered well.

    ``log_in(who)`` gives a browser; it is asked anew now and then, as shots may log out.
    """
    heard = _Overheard()
    app.logger.addHandler(heard)
    wounds, good = [], 0
    browsers: dict[str, FlaskClient] = {}
    try:
        for count, number in enumerate(numbers):
            if count % 60 == 0:
                browsers = {who: log_in(who) for who in gun.material.who}
            shot = gun.shot(number)
            heard.last = ""
            try:
                status = send(browsers[shot.who], shot)
            except Exception as error:
                wounds.append(Wound(shot, 0, f"{type(error).__name__}: {error}\n{heard.last}"))
                continue
            good += status < 400
            if status >= 500 and status not in UNAVAILABLE:
                wounds.append(Wound(shot, status, heard.last))
    finally:
        app.logger.removeHandler(heard)
    return wounds, good


def send(browser: FlaskClient, shot: Shot) -> int:
    """Send one shot; returns the answer's status."""
    data: Any = shot.body
    if shot.fields is not None:
        data = {}
        for name, value in shot.fields:
            data.setdefault(name, []).append(value)
        for name, file_name, content in shot.files:
            data.setdefault(name, []).append((BytesIO(content), file_name))
    answer = browser.open(
        shot.path,
        method=shot.method,
        query_string=shot.query,
        headers=shot.headers,
        data=data,
        content_type=shot.kind,
    )
    answer.get_data()
    return answer.status_code


def offered(
    app: Flask, browsers: Sequence[FlaskClient], ids: Sequence[str]
) -> list[tuple[str, Form]]:
    """Return the forms of every page those browsers see, with where each goes."""
    found: dict[str, tuple[str, Form]] = {}
    for browser in browsers:
        for route in routes_of(app):
            if "GET" not in route.methods or route.endpoint == "static":
                continue
            paths = [route.address()]
            if "details" in route.rule or "edit" in route.rule:
                paths += [f"{route.address()}?id={each}" for each in ids[:12]]
            for path in paths:
                answer = browser.get(path)
                if answer.status_code == 200 and answer.mimetype == "text/html":
                    for form in Page(answer.text).forms:
                        action = form.action or path
                        names = ",".join(each.name for each in form.fields)
                        found.setdefault(f"{action.partition('?')[0]} {names}", (action, form))
    return [found[key] for key in sorted(found)]


def gather_material(app: Flask, browsers: dict[str, FlaskClient], ids: list[str]) -> Material:
    # Whoever else there is sees no page that these three don't.
    seen = [browsers[who] for who in ("guest", "alice", "owner") if who in browsers]
    forms = offered(app, seen, ids)
    routes = list(open_routes(app))
    # Flask-Admin's hidden ones are worth a shot now and then as well.
    routes += random.Random(1).sample(routes_of(app), 12)
    return Material(routes, ids, forms, list(browsers))


def repeat(seed: int, wounds: Sequence[Wound]) -> str:
    """How to see it again."""
    numbers = json.dumps([wound.shot.number for wound in wounds[:20]])
    told = "\n\n".join(map(str, wounds[:8]))
    return f"{len(wounds)} went through with FUZZ_SEED={seed} at {numbers}:\n{told}"
