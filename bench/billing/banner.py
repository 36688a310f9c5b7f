"""How long pages say nothing of a payment that failed: from Stripe's word to the banner."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import requests
from flask import Flask

from bench.billing.people import Member
from bench.billing.stream import Event
from bench.ground import Site
from bench.sales import sign
from sandbox.processes import SandboxError

PAGE = "/account"
BANNER = "A payment of yours didn"
FAILED = "invoice.payment_failed"
PATIENCE_SECONDS = 20
LOOK_SECONDS = 0.005
WARM = 5


@dataclass(frozen=True, slots=True)
class Watch:
    """A member who looks at a page; ``cookie`` is the header of who has logged in."""

    member: Member
    cookie: str

    def sees_banner(self, http: requests.Session, url: str) -> bool:
        answer = http.get(
            url + PAGE, headers={"Cookie": self.cookie}, timeout=20, allow_redirects=False
        )
        if answer.status_code != 200:
            raise SandboxError(f"{PAGE} answers {answer.status_code}: {answer.text[:300]}")
        return BANNER in answer.text


def log_in(app: Flask, members: Sequence[Member]) -> list[Watch]:
    """Return the members as they look at their pages."""
    from sqlalchemy import select

    from webapp.accounts.models import LoginMethod, User
    from webapp.accounts.services.sessions import open_session
    from webapp.billing.models import BillingCustomer
    from webapp.core.audit import SYSTEM
    from webapp.core.db import db

    watches = []
    with app.app_context():
        for member in members:
            user = db.session.scalars(
                select(User)
                .join(BillingCustomer, BillingCustomer.user_id == User.id)
                .where(BillingCustomer.stripe_customer_id == member.customer)
            ).one()
            token = open_session(user, LoginMethod.PASSWORD, SYSTEM)
            db.session.commit()
            watches.append(Watch(member, _cookie(app, token)))
    return watches


def _cookie(app: Flask, token: str) -> str:
    browser = app.test_client()
    base = app.config.get("BASE_URL") or "https://bench.example"
    with browser.session_transaction(base_url=base) as opened:
        opened["_user_id"] = token
        opened["_fresh"] = True
    name = app.config["SESSION_COOKIE_NAME"]
    kept = browser.get_cookie(name, domain="bench.example")
    if kept is None:
        raise SandboxError("A member couldn't be logged in.")
    return f"{name}={kept.value}"


def sync(app: Flask, members: Sequence[Member]) -> None:
    """Let the shop know of subscriptions as they are now, as their events would."""
    from webapp.billing.services.sync import Ref, RefKind, sync_now
    from webapp.core.db import db

    with app.app_context():
        for member in members:
            sync_now(Ref(RefKind.SUBSCRIPTION, member.subscription))
            db.session.commit()


def measure(site: Site, watches: Sequence[Watch], events: Sequence[Event]) -> list[float]:
    """Return for each member the milliseconds from the webhook's post to a page with the banner.

    One member after the other, with one worker; the page is asked for again as soon as it was
    seen. The first few are for warming up and don't count.
    """
    failures = {e["data"]["object"]["customer"]: e for e in events if e["type"] == FAILED}
    with site.web() as url, site.workers_alone(1), requests.Session() as http:
        took = [_time_one(http, url, watch, failures[watch.member.customer]) for watch in watches]
    return took[WARM:]


def _time_one(http: requests.Session, url: str, watch: Watch, event: Event) -> float:
    if watch.sees_banner(http, url):
        raise SandboxError("The banner stands before anything failed.")
    ((path, headers, body),) = sign([json.dumps(event).encode()])
    began = time.perf_counter()
    http.post(url + path, data=body, headers=headers, timeout=20).raise_for_status()
    while not watch.sees_banner(http, url):
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise SandboxError(f"No banner {PATIENCE_SECONDS} s after the payment failed.")
        time.sleep(LOOK_SECONDS)
    return (time.perf_counter() - began) * 1000
