"""A whole life with the shop: whatever the shop can come to know of somebody, by many ways."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from flask.testing import FlaskClient
from sqlalchemy import select

from jobs.payments import drain_events
from tests.factories.billing import make_customer, make_invoice, make_plan, make_subscription
from tests.factories.campaigns import write_to
from tests.factories.catalog import make_sku
from tests.factories.people import PASSWORD, make_user
from tests.factories.sales import StripeDesk, check_out, make_cart, make_shipping
from webapp.accounts.models import (
    Address,
    EmailChange,
    IdentityProvider,
    LinkedIdentity,
    Member,
    Passkey,
    PersonNote,
    RecoveryCode,
    Role,
    TermsAgreement,
    TermsOfUse,
    Totp,
    User,
)
from webapp.accounts.services.contact import Inquiry, receive
from webapp.accounts.services.exporting import ask_for_copy
from webapp.billing.models import Plan, SubscriptionStatus
from webapp.campaigns.models import ClientEvent, ClientEventKind
from webapp.campaigns.services.events import Happening, hold
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import Job, JobAttempt, JobState
from webapp.core.privacy import spellings
from webapp.core.redis import redis_client
from webapp.core.state import current_fork
from webapp.messaging.models import Mail, MailState, MailTopic
from webapp.messaging.services import post
from webapp.messaging.services.consent import give_consent
from webapp.orders.models import Cart, Order, OrderStatus, ShippingMethod
from webapp.orders.services import fulfilment, settlement
from webapp.orders.services.refunds import request_refund
from webapp.payments.models import EventState, StripeEvent

RunJobs = Callable[[], int]


@dataclass(frozen=True)
class Identity:
    """Who somebody is, in words that nobody else has."""

    first: str
    last: str
    street: str
    city: str
    postal_code: str
    phone: str
    ip: str
    tracking: str
    key: str

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def email(self) -> str:
        return f"{self.first}.{self.last}@example.com".lower()

    @property
    def former_email(self) -> str:
        return f"{self.last}.before@example.com".lower()

    @property
    def device(self) -> str:
        return f"Phone of {self.last}"

    @property
    def network(self) -> str:
        return self.ip.rpartition(".")[0]

    @property
    def marks(self) -> list[str]:
        """Return what must not be found: whole, in parts, and as web addresses and pages say it."""
        whole = [self.name, self.email, self.former_email, self.street, self.city, self.phone]
        parts = [
            self.last,
            *self.street.split()[1:2],
            self.postal_code,
            self.phone[-7:],
            self.network,
            self.tracking,
            self.key,
        ]
        plus = [quote(word, safe="").replace("%20", "+") for word in whole]
        return sorted({*spellings([*whole, *parts]), *plus})


ALICE = Identity(
    "Alice",
    "Quillfeather",
    "17 Wobblethorpe Lane",
    "Zanzibarton",
    "ZX9-7QK",
    "+12025550188",
    "198.51.100.23",
    "1ZQQ77ALICE",
    "key-of-alice-88fd",
)
BOB = Identity(
    "Bob",
    "Marrowbone",
    "4 Crinklewood Row",
    "Timbuktown",
    "BX3-5LM",
    "+12025550247",
    "203.0.113.77",
    "1ZQQ99BOBBY",
    "key-of-bob-31ac",
)


class Life:
    """Lives a member's life with the shop, through its front doors where there are any."""

    def __init__(
        self, who: Identity, client: FlaskClient, desk: StripeDesk, run_jobs: RunJobs
    ) -> None:
        self.who = who
        self.client = client
        self.desk = desk
        self.run_jobs = run_jobs
        self.user: User
        self.member: Member

    def live(self) -> User:
        self.buy_as_guest()
        self.register()
        self.log_in()
        self.furnish()
        self.buy()
        self.subscribe()
        self.look_around()
        self.write()
        self.read()
        self.fail()
        ask_for_copy(self.user, SYSTEM)
        db.session.commit()
        self.run_jobs()
        db.session.commit()
        return db.session.get_one(User, self.user.id)

    def buy_as_guest(self) -> None:
        self._order(self.who.former_email, None)

    def register(self) -> None:
        who = self.who
        self.user = make_user(who.email, name=who.name)
        self.member = db.session.scalars(select(Member).where(Member.user_id == self.user.id)).one()
        self.member.phone = who.phone
        began = clock.now() - timedelta(days=30)
        change = EmailChange(
            user_id=self.user.id,
            old_email=who.former_email,
            new_email=who.email,
            created_at=began,
            old_confirmed_at=began + timedelta(hours=1),
            new_confirmed_at=began + timedelta(hours=1),
            expires_at=began + timedelta(days=1),
            done_at=began + timedelta(hours=1),
        )
        terms = db.session.scalar(select(TermsOfUse)) or TermsOfUse(
            version="1", body="Be kind.", published_at=began
        )
        db.session.add_all([change, terms])
        db.session.flush()
        db.session.add(TermsAgreement(user_id=self.user.id, terms_id=terms.id))
        db.session.commit()

    def log_in(self) -> None:
        """From their own network, with their own device, and once with the wrong password."""
        headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
        for password in ("Wrong-Harbour-42", PASSWORD):
            self.client.post(
                "/login",
                data={"email": self.who.email, "password": password},
                headers=headers,
                environ_overrides={"REMOTE_ADDR": self.who.ip},
            )
        db.session.refresh(self.user)
        assert self.user.last_login_at is not None

    def furnish(self) -> None:
        """Everything an account can hold beside orders."""
        who, user_id = self.who, self.user.id
        staff = db.session.scalar(select(User).where(User.role == Role.STAFF))
        author = staff or make_user("dana@example.com", role=Role.STAFF)
        db.session.add_all(
            [
                Address(
                    member_id=self.member.id,
                    name=who.name,
                    line1=who.street,
                    city=who.city,
                    postal_code=who.postal_code,
                    country="US",
                    phone=who.phone,
                    is_default=True,
                ),
                Passkey(
                    user_id=user_id,
                    credential_id=f"{who.key}-credential".encode(),
                    public_key=f"{who.key}-public".encode(),
                    sign_count=1,
                    transports=["internal", who.key],
                    name=who.device,
                ),
                Totp(user_id=user_id, secret=f"{who.key}-totp"),
                RecoveryCode(user_id=user_id, code_hash=f"{who.key}-code"),
                LinkedIdentity(
                    user_id=user_id,
                    provider=IdentityProvider.GOOGLE,
                    subject=f"{who.key}-google",
                    email=who.email,
                ),
                PersonNote(
                    member_id=self.member.id, author_id=author.id, text=f"{who.last} is kind."
                ),
            ]
        )
        give_consent(who.email, MailTopic.NEWSLETTER, True, "account")
        give_consent(who.former_email, MailTopic.OFFERS, True, "checkout")
        db.session.commit()

    def buy(self) -> None:
        """One order of the member's with everything, an open cart, and one about to be paid."""
        order = self._order(self.who.email, self.user.id)
        request_refund(order.id, 100, f"{self.who.last} was not happy", "dana@example.com")
        db.session.commit()
        self.run_jobs()
        for wanted in (False, True):
            cart_id = make_cart((make_sku(f"Mug {uuid.uuid4().hex[:6]}").id, 2))
            cart = db.session.get_one(Cart, cart_id)
            cart.user_id, cart.email = self.user.id, self.who.email
            db.session.commit()
            if wanted:
                check_out(cart_id)

    def _order(self, email: str, user_id: uuid.UUID | None) -> Order:
        who = self.who
        if db.session.scalar(select(ShippingMethod)) is None:
            make_shipping()
        cart_id = make_cart((make_sku(f"Bowl {uuid.uuid4().hex[:6]}").id, 1))
        db.session.get_one(Cart, cart_id).user_id = user_id
        db.session.commit()
        checkout = check_out(cart_id)
        self.desk.pay(
            checkout,
            email=email,
            name=who.name,
            phone=who.phone,
            line1=who.street,
            city=who.city,
            state="IL",
            postal_code=who.postal_code,
        )
        settlement.settle_session(checkout.stripe_session_id or "")
        db.session.commit()
        assert {*self.desk.deliver(self.client)} == {200}
        drain_events()
        self.run_jobs()
        order = db.session.scalars(select(Order).where(Order.checkout_id == checkout.id)).one()
        fulfilment.ship(order.id, "UPS", who.tracking, None, "dana@example.com")
        step = OrderStatus(
            order_id=order.id, status=order.status, note=f"{who.last} rang", actor="dana"
        )
        db.session.add(step)
        db.session.commit()
        self.run_jobs()
        return order

    def subscribe(self) -> None:
        """To what they left again, after a month that was paid."""
        customer = make_customer(self.user)
        plan = db.session.scalars(select(Plan)).first() or make_plan()
        left = make_subscription(customer, plan, status=SubscriptionStatus.CANCELED)
        make_invoice(customer, left)

    def look_around(self) -> None:
        """Events in Postgres, and some that wait in Redis; one from before they logged in."""
        visitor, now = uuid.uuid4(), clock.now()
        for user_id in (None, self.user.id):
            db.session.add(
                ClientEvent(
                    event_id=uuid.uuid4(),
                    kind=ClientEventKind.LINK,
                    visitor_id=visitor,
                    user_id=user_id,
                    path=f"/search/{quote(self.who.email)}?q={self.who.last}",
                    label=self.who.name,
                    details={"typed": [self.who.street]},
                    at=now,
                )
            )
        db.session.commit()
        hold(
            [
                Happening(
                    event_id=uuid.uuid4(),
                    kind=ClientEventKind.BUTTON,
                    visitor_id=visitor,
                    user_id=self.user.id,
                    path="/cart",
                    label=self.who.name,
                    ad_code=None,
                    email_code=None,
                    details={},
                    at=now,
                    received_at=now,
                )
            ]
        )

    def write(self) -> None:
        """A message to the shop, which mails it to itself."""
        who = self.who
        receive(Inquiry(who.name, who.email, f"{who.last} asks", f"Send it to {who.street}"))
        db.session.commit()
        self.run_jobs()

    def read(self) -> None:
        """Mails of campaigns to both their addresses, and all that came of them."""
        who = self.who
        for address in (who.email, who.former_email):
            write_to(address, name=who.name, place=who.city, network=who.network)

    def fail(self) -> None:
        """What goes wrong tends to say with whom: jobs, mails, events, keys of limits."""
        who, now = self.who, clock.now()
        for subject, args in ((f"user:{self.user.id}", [str(self.user.id)]), (None, [who.email])):
            job = Job(
                path="jobs.orders.settle_checkouts",
                args=args,
                queue="bulk",
                subject=subject,
                key=f"join:{who.email}:{subject}",
                state=JobState.FAILED,
                max_attempts=1,
                deadline_at=now,
                finished_at=now,
                error=f"ValueError: {who.name} of {who.street} ({who.email}) rang {who.phone}",
            )
            db.session.add(job)
            db.session.flush()
            db.session.add(
                JobAttempt(
                    job_id=job.id,
                    number=1,
                    worker="here:1",
                    started_at=now,
                    finished_at=now,
                    error=job.error,
                )
            )
        mail = post(
            "account_kept",
            who.email,
            {"login_url": "http://localhost/login"},
            dedupe_key=f"newsletter:{who.email}",
            subject_ref=None,
        )
        mail.state, mail.smtp_reply = MailState.FAILED, f"550 no mailbox {who.email}"
        to_staff = post(
            "account_kept",
            "help@northwind.example",
            {"login_url": f"http://localhost/login?as={quote(who.email)}"},
            dedupe_key=f"told:{uuid.uuid4()}",
            subject_ref="stocktaking:1",
        )
        to_staff.subject = f"{who.email} rang"
        db.session.add(
            StripeEvent(
                id=f"evt_{uuid.uuid4().hex}",
                type="customer.updated",
                object_id="cus_1",
                livemode=False,
                created=now,
                payload={"data": {"object": {"id": "cus_1", "email": who.email.upper()}}},
                state=EventState.PARKED,
                next_attempt_at=now,
                error=f"KeyError: {who.email}",
            )
        )
        db.session.commit()
        fork = current_fork().name
        redis = redis_client()
        redis.set(f"LIMITS:{fork}:limit/{who.email}/5/15/minute", 3, ex=900)
        redis.lpush(f"{fork}:lately", who.email, "nobody")
        redis.sadd(f"{fork}:seen_people", str(self.user.id), "nobody")
        redis.zadd(f"{fork}:by_time", {who.email: 1.0, "nobody": 2.0})
        redis.hset(f"{fork}:places", mapping={str(self.user.id): who.city, "nobody": "x"})
        redis.set(f"{fork}:last", f"seen {quote(who.email, safe='')}")


def mails_of(email: str) -> list[Mail]:
    statement = select(Mail).where(Mail.recipient == email).order_by(Mail.id)
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))
