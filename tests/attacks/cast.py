"""Alice, who has everything to lose; bob, who wants it; a guest; and staff of every rank."""

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from flask import Flask
from sqlalchemy import select, text

from tests.attacks.intruder import Intruder
from tests.factories.billing import (
    make_customer,
    make_entitlement,
    make_invoice,
    make_plan,
    make_subscription,
)
from tests.factories.people import PASSWORD, make_user, passkey_of
from webapp.accounts.models import (
    Address,
    ContactMessage,
    DataExport,
    EmailChange,
    ExportState,
    IdentityProvider,
    LinkedIdentity,
    LoginMethod,
    LoginSession,
    Member,
    PersonNote,
    Prospect,
    ProspectSource,
    RecoveryCode,
    Role,
    TermsAgreement,
    TermsOfUse,
    User,
)
from webapp.accounts.services.sessions import open_session
from webapp.billing.models import BillingCheckout, BillingCustomer, CheckoutPurpose, CheckoutState
from webapp.core import clock
from webapp.core.audit import SYSTEM, Actor, record
from webapp.core.db import Base, db
from webapp.core.models import ActorKind
from webapp.messaging.models import Mail, MailConsent, MailTopic
from webapp.orders.models import (
    Order,
    OrderDownload,
    OrderPayment,
    OrderShippingAddress,
    OrderShippingMethod,
    OrderSku,
    OrderState,
    OrderStatus,
)

# Occurs in whatever is alice's own and nowhere else.
CANARY = "zanzibar"
ALICE, BOB = "alice@example.com", "bob@example.com"
ALICES_IDS, BOBS_IDS = 900_000_000, 800_000_000


@dataclass
class Cast:
    """Who is there, by name: a browser each, and what is alice's."""

    app: Flask
    people: dict[str, uuid.UUID]
    ids: dict[str, list[object]] = field(default_factory=dict)

    def browser(self, name: str) -> Intruder:
        """Return a browser in which ``name`` (alice, owner, viewer, guest...) is logged in."""
        browser = Intruder(self.app, self.app.response_class)
        if name == "guest":
            return browser
        user = db.session.get_one(User, self.people[name])
        token = open_session(user, LoginMethod.PASSWORD, SYSTEM, second_factor=True)
        db.session.commit()
        with browser.session_transaction() as opened:
            opened["_user_id"] = token
            opened["_fresh"] = True
        return browser

    @property
    def alice(self) -> User:
        return db.session.get_one(User, self.people["alice"], populate_existing=True)

    @property
    def bob(self) -> User:
        return db.session.get_one(User, self.people["bob"], populate_existing=True)

    @property
    def about_alice(self) -> list[str]:
        """Words that occur in every row of hers."""
        return [CANARY, str(self.people["alice"]), ALICE]


def gather(app: Flask) -> Cast:
    """Return everybody, committed. Ids are such that alice's are like nobody else's."""
    terms = TermsOfUse(version="2026-01", body="Be kind.", published_at=clock.now())
    db.session.add(terms)
    people = {}
    count_from(ALICES_IDS)
    people["alice"] = make_user(ALICE, name=f"Alice {CANARY}").id
    ids = own_things(people["alice"])
    count_from(BOBS_IDS)
    people["bob"] = make_user(BOB, name="Bob Baker").id
    for role in Role:
        people[role.value] = make_user(f"{role.value}@example.com", role=role).id
    for user_id in people.values():
        db.session.add(TermsAgreement(user_id=user_id, terms_id=terms.id))
    db.session.commit()
    everything = Cast(app, people, ids)
    db.session.remove()
    return everything


def count_from(start: int) -> None:
    """Let each table's ids go on at a place of its own above ``start``."""
    for number, table in enumerate(Base.metadata.sorted_tables):
        key = table.primary_key.columns.values()[0]
        if key.identity is not None:
            begin = start + number * 10_000
            db.session.execute(
                text(f'ALTER TABLE "{table.name}" ALTER COLUMN "{key.name}" RESTART WITH {begin}')
            )
    db.session.commit()


def own_things(user_id: uuid.UUID) -> dict[str, list[object]]:
    """Give alice one of everything; returns the ids of it all, by table."""
    member = db.session.scalars(select(Member).where(Member.user_id == user_id)).one()
    add(*account_things(user_id, member.id))
    order = add_order(member.id)
    add(*traces(user_id, member.id))
    customer = subscribe(user_id)
    user = db.session.get_one(User, user_id)
    open_session(user, LoginMethod.PASSWORD, Actor(ActorKind.MEMBER, user_id, "", CANARY))
    record(SYSTEM, f"{CANARY}.seen", f"user:{user_id}", user_id=user_id)
    db.session.commit()
    return collect_ids(user_id, member.id, order, customer)


def add(*rows: Base) -> None:
    for row in rows:
        db.session.add(row)
    db.session.flush()


def account_things(user_id: uuid.UUID, member_id: int) -> list[Base]:
    now = clock.now()
    where = {"name": f"Alice {CANARY}", "city": CANARY, "postal_code": "10115", "country": "DE"}
    return [
        Address(member_id=member_id, line1=f"1 {CANARY} street", is_default=True, **where),
        Address(member_id=member_id, line1=f"2 {CANARY} street", **where),
        passkey_of(user_id, f"{CANARY} key", b"alice"),
        RecoveryCode(user_id=user_id, code_hash=f"{CANARY}-hash"),
        LinkedIdentity(
            user_id=user_id,
            provider=IdentityProvider.GOOGLE,
            subject=f"{CANARY}-subject",
            email=f"{CANARY}@example.com",
        ),
        DataExport(
            user_id=user_id,
            state=ExportState.READY,
            file_name=f"{CANARY}.zip",
            size=10,
            ready_at=now,
            expires_at=now + timedelta(days=3),
        ),
        EmailChange(
            user_id=user_id,
            old_email=ALICE,
            new_email=f"{CANARY}@example.net",
            expires_at=now + timedelta(days=1),
        ),
    ]


def add_order(member_id: int) -> Order:
    order = Order(
        number=ALICES_IDS + 1,
        member_id=member_id,
        email=ALICE,
        currency="usd",
        items_amount=2500,
        total_amount=2500,
        status=OrderState.SHIPPED,
        request_id=f"{CANARY}-request",
    )
    order.payment = OrderPayment(stripe_session_id=f"cs_{CANARY}", amount=2500, currency="usd")
    order.shipping_address = OrderShippingAddress(name=CANARY, line1=CANARY, country="DE")
    order.shipping_method = OrderShippingMethod(
        code="standard", name="Standard", carrier="UPS", amount=0
    )
    order.lines = [
        OrderSku(
            position=1, title=f"{CANARY} bowl", quantity=1, unit_amount=2500, total_amount=2500
        )
    ]
    order.history = [OrderStatus(status=OrderState.SHIPPED, note=CANARY)]
    add(order)
    expires = clock.now() + timedelta(days=3)
    add(
        OrderDownload(
            order_id=order.id,
            order_sku_id=order.lines[0].id,
            title=CANARY,
            file_name=f"{CANARY}.pdf",
            expires_at=expires,
        )
    )
    return order


def subscribe(user_id: uuid.UUID) -> BillingCustomer:
    """Let alice pay for a plan of the shop's; an invoice of hers is paid."""
    user = db.session.get_one(User, user_id)
    customer = make_customer(user, stripe_customer_id=f"cus_{CANARY}")
    subscription = make_subscription(customer, make_plan(), stripe_id=f"sub_{CANARY}")
    make_entitlement(user, subscription)
    make_invoice(customer, subscription, number=f"{CANARY}-0001", stripe_id=f"in_{CANARY}")
    add(
        BillingCheckout(
            customer_id=customer.id,
            purpose=CheckoutPurpose.SETUP,
            idempotency_key=f"{CANARY}-card",
            stripe_session_id=f"cs_setup_{CANARY}",
            state=CheckoutState.COMPLETE,
            expires_at=clock.now(),
            finished_at=clock.now(),
        )
    )
    return customer


def traces(user_id: uuid.UUID, member_id: int) -> list[Base]:
    prospect = Prospect(
        email=f"{CANARY}@example.com",
        name=f"Alice {CANARY}",
        source=ProspectSource.CONTACT,
        member_id=member_id,
        converted_at=clock.now(),
    )
    add(prospect)
    staff = make_user(f"{CANARY}-clerk@example.com", role=Role.VIEWER, password=None)
    return [
        ContactMessage(
            prospect_id=prospect.id,
            name=f"Alice {CANARY}",
            email=ALICE,
            subject=CANARY,
            text=f"{CANARY} never came",
        ),
        PersonNote(member_id=member_id, author_id=staff.id, text=f"{CANARY} calls often"),
        MailConsent(email=ALICE, topic=MailTopic.OFFERS, wanted=True, source=CANARY),
        Mail(
            dedupe_key=f"{CANARY}-mail",
            kind="welcome",
            code=f"{CANARY}-code",
            recipient=ALICE,
            sender="shop@example.com",
            subject=CANARY,
            text=CANARY,
            html=CANARY,
            subject_ref=f"user:{user_id}",
        ),
    ]


def collect_ids(
    user_id: uuid.UUID, member_id: int, order: Order, customer: BillingCustomer
) -> dict[str, list[object]]:
    """Return the keys of alice's rows by table, and her order's number."""
    ids: dict[str, list[object]] = {"user": [user_id], "member": [member_id], "order": [order.id]}
    ids["number"] = [order.number]
    owners: dict[str, object] = {"user_id": user_id, "member_id": member_id}
    owners |= {"order_id": order.id, "customer_id": customer.id}
    for mapper in Base.registry.mappers:
        model = cast(Any, mapper.class_)
        for column, owner in owners.items():
            if column not in mapper.columns or model in (Order, User):
                continue
            key = mapper.primary_key[0]
            found = db.session.scalars(select(key).where(mapper.columns[column] == owner))
            ids.setdefault(model.__tablename__, []).extend(found)
    mails = db.session.scalars(select(Mail.id).where(Mail.recipient == ALICE))
    ids["mail"] = list(mails)
    return ids


__all__ = ["ALICE", "BOB", "CANARY", "PASSWORD", "Cast", "LoginSession", "gather"]
