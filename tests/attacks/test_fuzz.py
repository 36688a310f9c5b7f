"""Thousands of requests that make no sense are answered, and none of them with our mistake."""

import os

from flask import Flask

from tests.attacks.cast import Cast
from tests.attacks.fuzz import Gun, fire, gather_material, repeat
from tests.attacks.siege import Siege
from webapp.core.signing import sign

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "500"))
SEED = int(os.environ.get("FUZZ_SEED", "2026"))
PEOPLE = ["guest", "alice", "bob", "viewer", "manager", "owner"]


def ids_of(app: Flask, cast: Cast) -> list[str]:
    ids = [str(value) for values in cast.ids.values() for value in values[:2]]
    ids += ["1", "2", "1001", "alice@example.com", "bob@example.com", "standard", "US", "usd"]
    alice, order = str(cast.people["alice"]), cast.ids["order"][0]
    with app.app_context():
        ids.append(sign("order-status", order))
        ids.append(sign("download", cast.ids["order_download"][0]))
        ids.append(sign("export", str(cast.ids["data_export"][0])))
        ids.append(sign("verify-email", {"user": alice, "email": "alice@example.com"}))
        ids.append(sign("reset-password", {"user": alice, "fingerprint": "x"}))
        ids.append(sign("email-change", {"change": cast.ids["email_change"][0], "side": "new"}))
    return ids


def test_no_request_finds_a_mistake_of_ours(siege: Siege) -> None:
    app, cast = siege.app, siege.cast
    browsers = {who: siege.browser(who) for who in PEOPLE}
    material = gather_material(app, browsers, ids_of(app, cast))
    assert len(material.forms) > 20
    gun = Gun(material, SEED)
    wounds, good = fire(app, gun, range(REQUESTS), siege.browser)
    assert wounds == [], repeat(SEED, wounds)
    assert good > REQUESTS / 10, f"only {good} of {REQUESTS} got anywhere: the shots are too wild"


def test_a_shot_is_the_same_for_the_same_seed(siege: Siege) -> None:
    material = gather_material(siege.app, {"guest": siege.browser("guest")}, ["1", "2"])
    shots = [str(Gun(material, SEED).shot(7)) for _ in range(2)]
    assert shots[0] == shots[1] != str(Gun(material, SEED + 1).shot(7))
