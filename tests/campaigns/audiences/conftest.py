"""A small town of customers, made once for each test: everybody wants the newsletter but gina.

alice    member, Germany; two orders of the oak bowl, 30 and 2 days ago; opened and clicked mail A
bob      member without orders; got mail A and B, opened neither
charlie  prospect of an import, France, tagged vip; opened mail B 40 days ago
dora     prospect who bought once, 100 days ago, parcel to Austria; was sent nothing
erin     prospect of the newsletter form, met 400 days ago
fred     prospect, suppressed
gina     prospect who took her consent back
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from tests.factories.catalog import make_sku
from tests.factories.emails import make_frozen, recipient_of
from tests.factories.orders import member_id_of
from tests.factories.people import make_user
from webapp.accounts.models import Address, Prospect, ProspectSource
from webapp.campaigns.models import Email, EmailState, PersonTag, RecipientState
from webapp.catalog.models import Collection, CollectionProduct, Product, ProductSku, Sku
from webapp.core import clock
from webapp.messaging.models import (
    MailConsent,
    MailSuppression,
    MailTopic,
    SuppressionReason,
    SuppressionScope,
)
from webapp.orders.models import (
    Order,
    OrderPayment,
    OrderShippingAddress,
    OrderSku,
    OrderState,
)

NAMES = ("alice", "bob", "charlie", "dora", "erin", "fred", "gina")
WILLING = NAMES[:5]


@dataclass(frozen=True)
class Town:
    """What the tests of an audience ask about."""

    sku: Sku
    product: Product
    mail_a: Email
    mail_b: Email


def address_of(name: str) -> str:
    return f"{name}@example.com"


def ago(days: float) -> datetime:
    return clock.now() - timedelta(days=days)


def say(session: Session, name: str, wanted: bool, topic: MailTopic = MailTopic.NEWSLETTER) -> None:
    session.add(MailConsent(email=address_of(name), topic=topic, wanted=wanted, source="test"))
    session.flush()


def buy(session: Session, sku: Sku, number: int, **values: object) -> Order:
    """Add a paid order of one piece."""
    paid = {"currency": "usd", "items_amount": 2500, "total_amount": 2500}
    order = Order(number=number, **(paid | values))
    session.add(order)
    session.flush()
    amounts = {"unit_amount": 2500, "total_amount": 2500, "quantity": 1, "position": 1}
    session.add(OrderSku(order_id=order.id, sku_id=sku.id, title="Oak Bowl", **amounts))
    session.add(
        OrderPayment(
            order_id=order.id, stripe_session_id=f"cs_{number}", amount=2500, currency="usd"
        )
    )
    session.flush()
    return order


@pytest.fixture
def town(session: Session) -> Town:
    alice = make_user(address_of("alice"), password=None, name="Alice Adams")
    make_user(address_of("bob"), password=None, name="Bob")
    _prospects(session)
    for name in NAMES:
        say(session, name, True)
    say(session, "gina", False)
    say(session, "bob", True, MailTopic.OFFERS)
    session.add(PersonTag(email=address_of("charlie"), tag="vip"))
    session.add(
        MailSuppression(
            email=address_of("fred"),
            scope=SuppressionScope.MARKETING,
            reason=SuppressionReason.COMPLAINT,
            source="ses",
        )
    )
    sku = make_sku("Oak Bowl")
    product = session.query(Product).join(ProductSku).filter(ProductSku.sku_id == sku.id).one()
    product.tags = ["kitchen"]
    sku.code = "OAK-1"
    shelf = Collection(slug="tableware", title="Tableware")
    session.add(shelf)
    session.flush()
    session.add(CollectionProduct(collection_id=shelf.id, product_id=product.id))
    member_id = member_id_of(alice)
    session.add(
        Address(member_id=member_id, name="A", line1="1", city="B", country="DE", is_default=True)
    )
    _orders(session, sku, member_id)
    return Town(sku, product, *_mails())


def _prospects(session: Session) -> None:
    rows = [
        ("charlie", ProspectSource.IMPORT, "Charlie Chan", "FR", 20),
        ("dora", ProspectSource.PURCHASE, "Dora", "", 100),
        ("erin", ProspectSource.NEWSLETTER, "", "", 400),
        ("fred", ProspectSource.NEWSLETTER, "Fred", "", 10),
        ("gina", ProspectSource.NEWSLETTER, "Gina", "", 10),
    ]
    session.execute(
        insert(Prospect),
        [
            {
                "email": address_of(name),
                "source": source,
                "name": full,
                "country": country,
                "created_at": ago(days),
            }
            for name, source, full, country, days in rows
        ],
    )


def _orders(session: Session, sku: Sku, member_id: int) -> None:
    dora = session.query(Prospect).filter_by(email=address_of("dora")).one()
    for number, days in ((1, 30), (2, 2)):
        # Typed at the checkout, and still the member's.
        values = {"member_id": member_id, "email": "alice@work.example"}
        buy(session, sku, number, placed_at=ago(days), **values)
    values = {"prospect_id": dora.id, "email": address_of("dora")}
    bought = buy(session, sku, 3, placed_at=ago(100), **values)
    session.add(OrderShippingAddress(order_id=bought.id, country="AT"))
    gone = {"email": address_of("bob"), "status": OrderState.CANCELLED, "total_amount": 99_900}
    buy(session, sku, 4, items_amount=99_900, placed_at=ago(1), **gone)
    session.commit()


def _mails() -> tuple[Email, Email]:
    mails = []
    for names in (("alice", "bob"), ("bob", "charlie")):
        mail = make_frozen([address_of(name) for name in names], state=EmailState.SENT)
        for name in names:
            row = recipient_of(mail, address_of(name))
            row.state, row.sent_at = RecipientState.SENT, ago(45)
        mails.append(mail)
    opened = recipient_of(mails[0], address_of("alice"))
    opened.opened_at = opened.clicked_at = ago(1)
    recipient_of(mails[1], address_of("charlie")).opened_at = ago(40)
    return mails[0], mails[1]
