"""Our members as customers at Stripe: one row and one customer each."""

import uuid
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp.accounts.models import User
from webapp.billing.models import BillingCustomer
from webapp.billing.queries.home import find_customer
from webapp.billing.services.sync import Ref, RefKind, sync_now
from webapp.core import clock
from webapp.core.db import db
from webapp.core.state import current_fork
from webapp.payments import gateway
from webapp.payments.errors import NoSuchStripeObject


def customer_of(user_id: uuid.UUID, email: str) -> BillingCustomer:
    """Return the member's row as a customer, made now if need be; flushes."""
    values = {"user_id": user_id, "email": email, "created_at": clock.now()}
    db.session.execute(insert(BillingCustomer).values(values).on_conflict_do_nothing())
    found = select(BillingCustomer).where(BillingCustomer.user_id == user_id)
    return db.session.scalars(found).one()


def ensure_at_stripe(customer_id: int, name: str) -> str:
    """Return the customer's id at Stripe, making the customer there if need be.

    Talks to Stripe between two transactions and so commits. The key is of the person and the fork:
    asked twice at once, it is one customer. One who was deleted there is made anew.
    """
    customer = db.session.get_one(BillingCustomer, customer_id)
    before = customer.stripe_customer_id
    if before and customer.deleted_at is None:
        return before
    fork = current_fork().name
    email, key = customer.email, f"{fork}:customer:{customer.id}:{customer.user_id}"
    key = f"{key}:after:{before}" if before else key
    db.session.commit()
    made = gateway.create_customer(email, name, marks(fork, customer_id), key)
    customer = db.session.get_one(
        BillingCustomer, customer_id, with_for_update=True, populate_existing=True
    )
    # A webhook about this customer, or a second press, may have been faster.
    if customer.stripe_customer_id == before:
        customer.stripe_customer_id, customer.deleted_at = made, None
    linked = customer.stripe_customer_id or made
    db.session.commit()
    return linked


def follow_address(user_id: uuid.UUID) -> None:
    """Have Stripe write to the address a member logs in with now; commits around its calls.

    May be repeated; raises StripeUnavailable when it has to be.
    """
    told = ""
    # Another change may come, and be told of, while Stripe is being told of this one.
    while (address := _read_address(user_id)) != told:
        customer = find_customer(user_id)
        if customer is None:
            break
        customer.email = told = address
        stripe_id = customer.stripe_customer_id if customer.deleted_at is None else None
        db.session.commit()
        if stripe_id is not None:
            with suppress(NoSuchStripeObject):
                gateway.set_customer_email(stripe_id, address)
                sync_now(Ref(RefKind.CUSTOMER, stripe_id))
            db.session.commit()


def _read_address(user_id: uuid.UUID) -> str:
    return db.session.scalar(select(User.email).where(User.id == user_id)) or ""


def marks(fork: str, customer_id: int) -> dict[str, str]:
    """Return the metadata by which a customer at Stripe is known as this fork's."""
    return {"fork": fork, "billing_customer": str(customer_id)}
