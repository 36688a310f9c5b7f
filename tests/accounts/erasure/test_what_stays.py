"""The shop's books stay, and so does what is another's."""

from datetime import timedelta

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from tests.accounts.erasure.forgetting import close, erase
from tests.accounts.searching import find_in_files, find_in_redis, rows_with
from tests.factories.lives import ALICE, BOB, RunJobs
from tests.factories.people import make_user
from webapp.accounts.models import EmailChange, Erasure, Member, Role, User
from webapp.accounts.models.privacy import DataExport
from webapp.accounts.queries.privacy import identify
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import AuditEntry
from webapp.core.state import current_fork
from webapp.doctor import examine
from webapp.orders.models import (
    Order,
    OrderShippingAddress,
    OrderSku,
    OrderState,
    OrderStatus,
    Shipment,
)


def test_others_are_untouched(
    connection: Connection, alice: User, bob: User, run_jobs: RunJobs
) -> None:
    before = rows_with(connection, BOB.marks)
    assert sum(map(len, before.values())) > 40
    redis_before = find_in_redis(BOB.marks)
    close(alice)
    erase(run_jobs)
    db.session.commit()
    assert rows_with(connection, BOB.marks) == before
    assert find_in_redis(BOB.marks) == redis_before
    assert find_in_files(current_fork().upload_folder, BOB.marks)


def test_the_books_stay(session: Session, alice: User, run_jobs: RunJobs) -> None:
    kept = (Order.number, Order.total_amount, Order.tax_amount, Order.currency, Order.placed_at)
    lines = select(OrderSku.title, OrderSku.code, OrderSku.quantity, OrderSku.total_amount)
    orders = session.execute(select(*kept).order_by(Order.id)).all()
    sold = session.execute(lines.order_by(OrderSku.id)).all()
    close(alice)
    erase(run_jobs)
    session.expire_all()
    assert session.execute(select(*kept).order_by(Order.id)).all() == orders
    assert session.execute(lines.order_by(OrderSku.id)).all() == sold
    assert set(session.scalars(select(OrderShippingAddress.country))) == {"US"}
    for order in session.scalars(select(Order)):
        assert (order.email, order.phone) == ("", "")
        assert order.refunds or order.member_id is None
        assert order.shipments[0].carrier == "UPS"
    broken = {check["name"] for check in examine(ask_stripe=False)["checks"] if not check["ok"]}
    # What the life had go wrong on purpose.
    assert broken <= {"no_failed_jobs", "no_parked_events"}


def test_the_report_says_what_went_and_why_the_rest_stays(
    connection: Connection, session: Session, alice: User, run_jobs: RunJobs
) -> None:
    close(alice)
    erase(run_jobs)
    report = session.scalars(select(Erasure.report).where(Erasure.user_id == alice.id)).one()
    tables = report["tables"]
    assert tables["address"] == {"erased": 1}
    assert tables["passkey"] == {"erased": 1}
    assert tables["order"]["anonymised"] == 2
    assert "tax law" in tables["order"]["why"]
    assert tables["terms_agreement"]["kept"] == 1
    for line in tables.values():
        assert "why" in line or not {"kept", "anonymised"} & set(line)
    assert "Stripe keeps its own records" in report["elsewhere"]["stripe"]
    audited = select(AuditEntry.action).where(AuditEntry.user_id == alice.id)
    assert {"account.closed", "member.erased"} <= set(session.scalars(audited))
    assert not session.scalars(select(DataExport).where(DataExport.user_id == alice.id)).all()


def test_an_address_that_was_only_typed_takes_nothing_along(
    connection: Connection, alice: User, run_jobs: RunJobs
) -> None:
    """Somebody else registered with her address, even changed it: her data isn't theirs."""
    db.session.commit()
    typed = make_user(ALICE.email, verified=False)
    changed = make_user("charlie@example.com")
    now = clock.now()
    db.session.add(
        EmailChange(
            user_id=changed.id,
            old_email=ALICE.former_email,
            new_email=changed.email,
            created_at=now,
            # As for an address that was never shown to be theirs: nobody asked it.
            old_confirmed_at=now - timedelta(microseconds=9),
            new_confirmed_at=now,
            done_at=now,
            expires_at=now,
        )
    )
    db.session.commit()
    assert identify(typed).addresses == ()
    assert identify(changed).addresses == ("charlie@example.com",)
    mine = {table: rows for table, rows in rows_with(connection, ALICE.marks).items() if rows}
    for user in (typed, changed):
        close(user)
    erase(run_jobs)
    db.session.commit()
    assert set(db.session.scalars(select(Erasure.user_id))) == {typed.id, changed.id}
    after = rows_with(connection, ALICE.marks)
    for table in ("order", "mail", "stripe_event", "mail_consent", "contact_message", "address"):
        assert after[table] == mine[table], table


def test_a_former_address_that_became_somebody_elses_is_left_alone(session: Session) -> None:
    user, other = make_user("alice@example.com"), make_user("bob@example.com")
    now = clock.now()
    shown = {"old_confirmed_at": now, "created_at": now - timedelta(hours=1), "expires_at": now}
    for former in ("alice.before@example.com", "bob@example.com"):
        change = EmailChange(
            user_id=user.id, old_email=former, new_email=user.email, done_at=now, **shown
        )
        session.add(change)
    session.commit()
    assert identify(user).addresses == ("alice.before@example.com", "alice@example.com")
    assert identify(other).addresses == ("bob@example.com",)


def test_whoever_works_here_is_not_erased(session: Session, run_jobs: RunJobs) -> None:
    user = make_user(ALICE.email)
    close(user)
    user.role = Role.STAFF
    session.commit()
    erase(run_jobs)
    assert session.get_one(User, user.id, populate_existing=True).erased_at is None


def test_who_worked_here_stays_in_histories_as_an_id(
    session: Session, alice: User, bob: User, run_jobs: RunJobs
) -> None:
    order = session.scalars(
        select(Order).join(Member, Member.id == Order.member_id).where(Member.user_id == bob.id)
    ).one()
    session.add(OrderStatus(order_id=order.id, status=OrderState.SHIPPED, actor=ALICE.email))
    session.add(Shipment(order_id=order.id, carrier="UPS", actor=ALICE.email.title()))
    session.commit()
    close(alice)
    erase(run_jobs)
    for model in (OrderStatus, Shipment):
        actors = set(session.scalars(select(model.actor).where(model.order_id == order.id)))
        assert f"user:{alice.id}" in actors
