"""However many press at once, nobody buys what another has: through the pages a buyer uses."""

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests
from flask.sessions import SecureCookieSessionInterface

from tests.business import Business
from tests.buyers import Buyer, sentences
from tests.waiting import all_at_once, eventually
from webapp.core.security import ForkSession
from webapp.core.state import current_fork

pytestmark = pytest.mark.chaos
logger = logging.getLogger(__name__)

CROWD = 200
PIECES = 5
RIVALS = 4
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "25"))
REFUSALS = ("sold out", "just sold to somebody else")


def test_two_hundred_at_once_for_five_pieces(crowded_business: Business) -> None:
    business = crowded_business
    sku_id, product_url = business.make_sku(stock=PIECES)
    # Names of their own: other tests of this file buy in the same shop.
    buyers = [
        Buyer(business, number, f"crowd-{number}@{business.domain}") for number in range(CROWD)
    ]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda buyer: buyer.fill_cart(product_url), buyers))
    began = time.monotonic()
    pages = all_at_once(CROWD, lambda number: buyers[number].press_pay())
    logger.info("%s pressed pay within %.1f s", CROWD, time.monotonic() - began)

    paying = [(b, p) for b, p in zip(buyers, pages, strict=True) if b.is_at_stripe(p)]
    refused = [page for page in pages if page.url == f"{business.web_url}/cart"]
    assert (len(paying), len(refused)) == (PIECES, CROWD - PIECES)
    for page in refused:
        assert any(why in told for told in sentences(page) for why in REFUSALS), page.text

    for buyer, page in paying:
        assert "Thank you" in buyer.pay(page).heading
    business.wait_for_rest()
    assert business.ask(
        "SELECT on_hand, reserved FROM sku_inventory WHERE sku_id = %s", sku_id
    ) == [(0, 0)]
    assert business.count("order_sku", f"sku_id = {sku_id}") == PIECES
    emails = {buyer.email for buyer in buyers}
    mails = sorted(to for mail in business.list_mails() if (to := mail["to"][0]) in emails)
    assert mails == sorted(buyer.email for buyer, _ in paying)
    business.doctor()


@dataclass
class Rival:
    """A buyer of many rounds: one session, and in each round a new cart with the last piece.

    It keeps no cookie jar: each request carries exactly the cookies it is given.
    """

    business: Business
    number: int
    session: str
    token: str
    total: str
    currency: str

    @classmethod
    def arrive(cls, business: Business, number: int) -> "Rival":
        """Learn from the pages what every later form has to say."""
        buyer = Buyer(business, 1000 + number)
        buyer.fill_cart(business.make_sku(stock=9)[1])
        assert buyer.cart
        fields = buyer.cart.form("/checkout").fields
        session = buyer.browser.session.cookies[f"{business.name}_session"]
        return cls(
            business, number, session, fields["csrf_token"], fields["seen_total"],
            fields["seen_currency"],
        )  # fmt: skip

    def fill_cart(self, sku_id: int) -> str:
        """Return the cookie of a new cart that holds the round's piece."""
        answer = self._post("/cart/add", "", sku_id=str(sku_id), quantity="1")
        return answer.cookies[f"{self.business.name}_cart"]

    def press_pay(self, cart: str) -> str | list[str]:
        """Return Stripe's address, or the sentences that the next page would show."""
        form = {"seen_total": self.total, "seen_currency": self.currency}
        answer = self._post("/checkout", cart, **form)
        if answer.headers["Location"].startswith(self.business.neighbours.stripe_url):
            return answer.headers["Location"]
        assert answer.headers["Location"] == "/cart"
        return self._read_flashes(answer.cookies[f"{self.business.name}_session"])

    def _post(self, path: str, cart: str, **form: str) -> requests.Response:
        name = self.business.name
        cookies = f"{name}_session={self.session}" + (f"; {name}_cart={cart}" if cart else "")
        answer = requests.post(
            self.business.web_url + path,
            data={"csrf_token": self.token, **form},
            headers={"Cookie": cookies, "X-Forwarded-For": f"10.9.{self.number}.{_lane()}"},
            allow_redirects=False,
            timeout=60,
        )
        assert answer.status_code == 303, answer.text
        return answer

    def _read_flashes(self, session: str) -> list[str]:
        with self.business.app.app_context():
            opener: SecureCookieSessionInterface = ForkSession(current_fork())
            serializer = opener.get_signing_serializer(self.business.app)
        assert serializer
        return [sentence for _, sentence in serializer.loads(session)["_flashes"]]


def _lane() -> int:
    """Another address every second: a person doesn't press a hundred times a minute."""
    return int(time.monotonic()) % 250


class Contest:
    """Rounds in which all rivals want one piece; the winner pays."""

    def __init__(self, business: Business, sku_ids: list[int]) -> None:
        self.business = business
        self.sku_ids = sku_ids
        self.gate = threading.Barrier(RIVALS)
        self.outcomes: list[list[str | list[str]]] = [[] for _ in sku_ids]

    def run(self) -> None:
        rivals = [Rival.arrive(self.business, number) for number in range(RIVALS)]
        with ThreadPoolExecutor(RIVALS) as threads:
            for done in [threads.submit(self._compete, rival) for rival in rivals]:
                done.result()

    def _compete(self, rival: Rival) -> None:
        try:
            for number, sku_id in enumerate(self.sku_ids):
                self._play(rival, number, sku_id)
        except BaseException:
            self.gate.abort()
            raise

    def _play(self, rival: Rival, number: int, sku_id: int) -> None:
        cart = rival.fill_cart(sku_id)
        self.gate.wait(300)
        outcome = rival.press_pay(cart)
        self.outcomes[number].append(outcome)
        if isinstance(outcome, str):
            session_id = outcome.partition("?")[0].rpartition("/")[2]
            email = f"winner-{number}@{self.business.domain}"
            self.business.neighbours.pay(session_id, email)


def test_the_last_piece_is_sold_once_in_every_round(crowded_business: Business) -> None:
    business = crowded_business
    before = business.count("order")
    sku_ids = [business.make_sku(stock=1, title="Last Bowl")[0] for _ in range(ROUNDS)]
    contest = Contest(business, sku_ids)
    began = time.monotonic()
    contest.run()
    took = time.monotonic() - began
    logger.info("%s rounds of %s in %.1f s", ROUNDS, RIVALS, took)
    for outcomes in contest.outcomes:
        won = [outcome for outcome in outcomes if isinstance(outcome, str)]
        lost = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        assert (len(won), len(lost)) == (1, RIVALS - 1)
        assert all(any(why in told for told in each for why in REFUSALS) for each in lost)
    eventually(lambda: business.count("order") >= before + ROUNDS, "an order for every winner", 600)
    business.wait_for_rest(600)
    assert business.count("order") == before + ROUNDS
    sold = business.ask(
        "SELECT sku_id, sum(quantity) FROM order_sku WHERE sku_id = ANY(%s) GROUP BY sku_id",
        sku_ids,
    )
    assert sorted(sold) == [(sku_id, 1) for sku_id in sku_ids]
    stock = business.ask(
        "SELECT DISTINCT on_hand, reserved FROM sku_inventory WHERE sku_id = ANY(%s)", sku_ids
    )
    assert stock == [(0, 0)]
    business.examine()
