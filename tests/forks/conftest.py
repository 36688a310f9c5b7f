"""Two forks that share all they can: servers, secret, Stripe account, folder, ids and buyers."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.business import Business, run_business
from tests.buyers import Buyer
from tests.neighbours import Neighbours, neighbours, own_redis
from tests.services import Addresses
from webapp.catalog.models import SkuKind

__all__ = ["neighbours", "own_redis", "pair"]

EMAIL = "alice@example.com"
FILE = "manual.txt"


@dataclass
class Side:
    """One fork and what its first buyer, who has the same address in both, holds in hand."""

    business: Business
    title: str
    product_url: str = ""
    sku_id: int = 0
    buyer: Buyer = field(init=False)
    session_id: str = ""
    status_url: str = ""
    download_url: str = ""

    def set_up(self) -> None:
        self.business.open_shop()
        self.sku_id, self.product_url = self.business.make_sku(stock=9, title=f"{self.title} Bowl")
        folder = self.business.uploads / self.business.name / "downloads"
        folder.mkdir(parents=True)
        (folder / FILE).write_text(f"The manual of {self.title}")

    def sell(self) -> None:
        digital = {"kind": SkuKind.DIGITAL, "download_file": FILE}
        _, manual_url = self.business.make_sku(None, f"{self.title} Manual", **digital)
        self.buyer = Buyer(self.business, 1, EMAIL)
        self.buyer.fill_cart(manual_url)
        self.buyer.fill_cart(self.product_url)
        hosted = self.buyer.press_pay()
        self.session_id = hosted.url.partition("?")[0].rpartition("/")[2]
        self.buyer.pay(hosted)

    def look(self) -> None:
        self.business.wait_for_rest()
        success = f"{self.business.web_url}/checkout/success?session_id={self.session_id}"
        self.status_url = self.buyer.browser.open(success).links("/orders/status/")[0]
        status = self.buyer.browser.open(self.status_url)
        self.download_url = status.links("/orders/download/")[0]

    def there(self, url: str) -> str:
        """The other fork's address ``url`` as it would be here."""
        return self.business.web_url + "/" + url.split("/", 3)[3]


@dataclass(frozen=True, slots=True)
class Pair:
    one: Side
    other: Side

    @property
    def ways(self) -> list[tuple[Side, Side]]:
        """Each side with the one that must not accept what it has."""
        return [(self.one, self.other), (self.other, self.one)]


@pytest.fixture(scope="session")
def pair(
    addresses: Addresses,
    own_redis: str,
    neighbours: Neighbours,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    """Both run web, worker and clock, and each has sold the same thing to the same address."""
    folder = tmp_path_factory.mktemp("pair")
    shared = {"STRIPE_SECRET_KEY": "sk_test_two_forks_of_one_founder", "WEB_CONCURRENCY": "1"}
    with (
        run_business(addresses, own_redis, neighbours, folder, **shared) as one,
        run_business(addresses, own_redis, neighbours, folder, **shared) as other,
    ):
        both = Pair(Side(one, "First"), Side(other, "Second"))
        names = ("web", "worker", "clock")
        for side, _ in both.ways:
            side.set_up()
            for name in names:
                side.business.begin(name)
        for side, _ in both.ways:
            for name in names:
                side.business.wait_for(name)
        for side, _ in both.ways:
            side.sell()
        for side, _ in both.ways:
            side.look()
        yield both
