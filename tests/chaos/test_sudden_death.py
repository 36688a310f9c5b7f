"""Processes die and Redis forgets in the middle of sales: no order is lost, no mail sent twice.

CHAOS_FULL=1 adds the full figures and the death of Postgres. CHAOS_SEED chooses the moments.
"""

import itertools
import logging
import os
import queue
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from sandbox.browser import NotThereError
from sandbox.ports import free_port
from sandbox.postgres import Postgres
from tests.business import Business, run_business
from tests.buyers import Buyer
from tests.messaging.sink import Caught, Dialogue, Sink
from tests.neighbours import Neighbours
from tests.services import Addresses
from tests.waiting import PATIENCE_SECONDS, eventually
from webapp.core.db import db
from webapp.messaging.services import send_again

pytestmark = pytest.mark.chaos
logger = logging.getLogger(__name__)

SEED = int(os.environ.get("CHAOS_SEED", "35"))
AT_ONCE = 4
# The suite strikes at a smaller trade each time; these say it with the full figures.
only_in_full = pytest.mark.skipif(
    os.environ.get("CHAOS_FULL") != "1", reason="takes minutes: CHAOS_FULL=1"
)
buyer_numbers = itertools.count(1, 1000)


@pytest.fixture(scope="module")
def business(
    addresses: Addresses,
    own_redis: str,
    neighbours: Neighbours,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Business]:
    folder = tmp_path_factory.mktemp("mortal")
    with run_business(addresses, own_redis, neighbours, folder) as business:
        business.open_shop()
        business.start("web", "clock")
        yield business


@dataclass
class Trade:
    """Buyers who come one after the other, a few at a time, while the main thread makes trouble."""

    business: Business
    product_url: str
    numbers: range
    patient: bool = False
    paid: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, threads: ThreadPoolExecutor) -> "list[Future[None]]":
        return [threads.submit(self._buy, number) for number in self.numbers]

    def _buy(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        buyer = Buyer(self.business, number)
        while True:
            try:
                buyer.fill_cart(self.product_url)
                hosted = buyer.press_pay()
                assert buyer.is_at_stripe(hosted), hosted.text
                break
            except (NotThereError, requests.RequestException, AssertionError):
                # Only where the database itself dies may a visitor have to try again.
                if not self.patient or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        # Every second buyer closes the window: their order is made by the webhook alone.
        if number % 2 or self.patient:
            buyer.pay_and_leave(hosted)
        else:
            buyer.pay(hosted)
        with self._lock:
            self.paid += 1

    def has_come_to(self, moment: int) -> bool:
        return self.progress() >= moment

    def progress(self) -> int:
        """Payments, fulfilled orders and sent mails: up to three for each purchase."""
        self.business.assert_alive()
        done = """
            SELECT (SELECT count(*) FROM "order"
                    WHERE status = 'in_fulfilment' AND email = ANY(%s))
                 + (SELECT count(*) FROM mail WHERE state = 'sent' AND recipient = ANY(%s))"""
        with suppress(psycopg.OperationalError):
            return self.paid + int(self.business.ask(done, self.emails, self.emails)[0][0])
        return 0

    def count_orders(self) -> int:
        return len(self.business.ask('SELECT id FROM "order" WHERE email = ANY(%s)', self.emails))

    @property
    def emails(self) -> list[str]:
        return [f"buyer-{number}@{self.business.domain}" for number in self.numbers]


def trouble(
    business: Business, trade: Trade, victims: list[str], kills: int, rng: random.Random
) -> None:
    """Empty Redis and kill a process at random moments between first payment and last mail.

    Each kill may leave one mail in doubt, which then never counts: so many moments are spared.
    """
    end = 3 * len(trade.numbers) - kills
    with redis.Redis.from_url(business.redis_url) as store:
        for moment in sorted(rng.sample(range(1, end), kills)):
            eventually(partial(trade.has_come_to, moment), f"progress {moment}", 300)
            time.sleep(rng.uniform(0, 0.03))  # not to wait for anything: to strike in any phase
            victim = rng.choice(victims)
            first, then = rng.sample([store.flushall, partial(business.kill, victim)], 2)
            first()
            then()
            logger.info("at %s of %s: FLUSHALL and kill -9 of the %s", moment, end, victim)
            business.start(victim)


def resolve_unknown(business: Business, emails: list[str], arrived: set[str]) -> int:
    """As a person would: send a mail in doubt again only if it did not arrive."""
    unknown = business.ask(
        "SELECT id, recipient FROM mail WHERE state = 'unknown' AND recipient = ANY(%s)", emails
    )
    with business.app.app_context():
        for mail_id, recipient in unknown:
            if recipient not in arrived:
                send_again(mail_id)
        db.session.commit()
    business.wait_for_rest()
    return len(unknown)


def who_got_mail(business: Business) -> set[str]:
    return {mail["to"][0] for mail in business.list_mails()}


def assert_sold_once_each(business: Business, trade: Trade) -> None:
    emails = trade.emails
    orders = business.ask('SELECT email, status FROM "order" WHERE email = ANY(%s)', emails)
    assert sorted(email for email, _ in orders) == sorted(emails)
    assert {status for _, status in orders} == {"in_fulfilment"}
    mails = Counter(mail["to"][0] for mail in business.list_mails())
    assert {email: mails[email] for email in emails} == dict.fromkeys(emails, 1)


def sell_under_fire(business: Business, victims: list[str], total: int, kills: int) -> None:
    business.start("worker")
    first = next(buyer_numbers)
    numbers = range(first, first + total)
    trade = Trade(business, business.make_sku(stock=total)[1], numbers)
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        purchases = trade.begin(threads)
        trouble(business, trade, victims, kills, random.Random(SEED))
        for purchase in purchases:
            purchase.result()
    eventually(lambda: trade.count_orders() >= total, "all orders")
    business.wait_for_rest()
    in_doubt = resolve_unknown(business, trade.emails, who_got_mail(business))
    seconds = time.monotonic() - began
    logger.info("%s purchases, %s kills: %.1f s, %s in doubt", total, kills, seconds, in_doubt)
    assert_sold_once_each(business, trade)
    business.kill("worker")
    business.doctor()


def test_processes_die_and_redis_forgets(business: Business) -> None:
    sell_under_fire(business, ["worker", "worker", "clock"], 24, 4)


@only_in_full
def test_the_worker_dies_twenty_times_and_redis_forgets(business: Business) -> None:
    sell_under_fire(business, ["worker"], 200, 20)


@only_in_full
def test_the_clock_dies_ten_times_and_redis_forgets(business: Business) -> None:
    sell_under_fire(business, ["clock"], 100, 10)


@dataclass
class SilentServer(Sink):
    """Reads two messages to their ends and says nothing: it keeps the first and not the second."""

    silences: "queue.Queue[str]" = field(default_factory=queue.Queue)
    _silent: Iterator[bool] = field(default_factory=lambda: iter((True, False)))

    def _take(self, talk: Dialogue) -> None:
        keeps = next(self._silent, None)
        if keeps is None:
            super()._take(talk)
            return
        content = talk.read_message()
        if keeps:
            self.messages.append(Caught(talk.sender, talk.recipient, content))
        self.silences.put(talk.recipient)
        talk.read_line()  # nothing comes: the worker is killed while it waits


def test_a_mail_whose_worker_died_before_the_reply_is_in_doubt(business: Business) -> None:
    server = SilentServer()
    server.start()
    product_url = business.make_sku(stock=2)[1]
    buyers = [Buyer(business, next(buyer_numbers)) for _ in range(2)]
    for buyer in buyers:
        business.begin("worker", SMTP_URL=server.url)
        buyer.fill_cart(product_url)
        buyer.pay_and_leave(buyer.press_pay())
        assert server.silences.get(timeout=PATIENCE_SECONDS) == buyer.email
        business.kill("worker")

    def states() -> list[str]:
        emails = [buyer.email for buyer in buyers]
        rows = business.ask("SELECT state FROM mail WHERE recipient = ANY(%s) ORDER BY id", emails)
        return [state for (state,) in rows]

    business.begin("worker", SMTP_URL=server.url)
    eventually(lambda: states() == ["unknown", "unknown"], "both mails in doubt")
    business.wait_for_rest()
    assert [caught.recipient for caught in server.messages] == [buyers[0].email]
    emails = [buyer.email for buyer in buyers]
    assert resolve_unknown(business, emails, {buyers[0].email}) == 2
    assert states() == ["unknown", "sent"]
    assert [caught.recipient for caught in server.messages] == emails
    business.kill("worker")
    business.examine()
    server.stop()


@only_in_full
def test_postgres_dies_and_comes_back(
    addresses: Addresses, own_redis: str, neighbours: Neighbours, tmp_path: Path
) -> None:
    server = Postgres(tmp_path / "postgres", port=free_port())
    server.start()
    try:
        server.create_database("mortal_shop")
        business = Business("mortal_shop", server.url(), own_redis, tmp_path, neighbours)
        migrated = business.flask("db", "upgrade")
        assert migrated.returncode == 0, migrated.stderr
        try:
            sell_while_postgres_dies(business, server)
        finally:
            business.stop()
    finally:
        server.stop()


def sell_while_postgres_dies(business: Business, server: Postgres) -> None:
    business.open_shop()
    business.start("web", "worker", "clock")
    total = 100
    trade = Trade(business, business.make_sku(stock=2 * total)[1], range(1, total + 1), True)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        purchases = trade.begin(threads)
        eventually(lambda: trade.progress() >= total, "some of it")
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        server.start()
        for purchase in purchases:
            purchase.result()
    eventually(lambda: trade.count_orders() >= total, "all orders")
    business.wait_for_rest()
    in_doubt = resolve_unknown(business, trade.emails, who_got_mail(business))
    logger.info("%s purchases, Postgres killed once, %s mails in doubt", total, in_doubt)
    assert_sold_once_each(business, trade)
    business.doctor()
