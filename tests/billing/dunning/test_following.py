"""A case opens, changes and closes by what Stripe tells, in whatever order it tells it."""

from datetime import timedelta

import pytest

from tests.billing.dunning.conftest import DAY, MakeStory, Story
from tests.factories.billing import (
    NOON,
    make_attempt,
    make_failed_attempt,
    make_invoice,
    make_policy,
    make_step,
    make_unpaid_invoice,
)
from webapp.billing.models import (
    BillingOperation,
    CardLink,
    CaseState,
    Channel,
    DeclineKind,
    DunningCase,
    InvoiceStatus,
    OperationKind,
    SubscriptionStatus,
)
from webapp.billing.policy import Policy
from webapp.billing.services import dunning
from webapp.core import clock
from webapp.core.db import db


def pay(story: Story, days: float) -> DunningCase:
    """Let Stripe tell that the invoice was paid after so many days."""
    at = NOON + days * DAY
    make_attempt(story.invoice, at=at)
    story.invoice.status, story.invoice.paid_at = InvoiceStatus.PAID, at
    story.invoice.amount_paid, story.invoice.amount_remaining = story.invoice.amount_due, 0
    return story.follow()


def end(story: Story, reason: str) -> DunningCase:
    subscription = story.subscription
    subscription.status, subscription.cancellation_reason = SubscriptionStatus.CANCELED, reason
    subscription.ended_at = NOON + 5 * DAY
    dunning.follow_subscription(subscription)
    db.session.commit()
    return story.case


def test_a_refused_charge_opens_one_case_that_began_with_it(make_story: MakeStory) -> None:
    story = make_story("expired_card")
    make_failed_attempt(story.invoice, "expired_card", at=NOON + 3 * DAY)
    for _ in range(2):
        case = story.follow()
    assert (case.state, case.opened_at) == (CaseState.OPEN, NOON)
    assert (case.amount, case.currency) == (1900, "usd")
    assert (case.decline_code, case.decline_kind) == ("expired_card", DeclineKind.NEEDS_CUSTOMER)
    assert case.next_due_at == NOON
    assert case.policy_id == make_policy().id


def test_an_invoice_nobody_failed_to_collect_has_no_case(make_story: MakeStory) -> None:
    story = make_story()
    paid = make_invoice(story.customer, story.subscription)
    make_attempt(paid)
    dunning.follow_invoice(paid)
    free = make_invoice(story.customer, total=0, status=InvoiceStatus.OPEN)
    dunning.follow_invoice(free)
    assert db.session.query(DunningCase).count() == 0


def test_what_the_policy_leaves_alone_is_no_case_or_one_that_is_excluded(
    make_story: MakeStory,
) -> None:
    make_policy(Policy(minimum_amount=500))
    story = make_story()
    first = make_unpaid_invoice(
        story.customer, story.subscription, billing_reason="subscription_create", at=NOON
    )
    dunning.follow_invoice(first)
    small = make_unpaid_invoice(story.customer, story.subscription, total=499, at=NOON)
    dunning.follow_invoice(small)
    cases = db.session.query(DunningCase).all()
    assert [case.invoice_id for case in cases] == [small.id]
    assert (cases[0].excluded_reason, cases[0].next_due_at) == (
        "The amount is below the policy's minimum.",
        None,
    )
    make_policy(Policy(excluded_plans=frozenset({"plan-alice"})))
    assert story.follow().excluded_reason == "The policy leaves this plan alone."


def test_another_refusal_changes_the_kind_and_the_clock_looks_again(story: Story) -> None:
    story.look(NOON)
    make_failed_attempt(story.invoice, "authentication_required", at=NOON + DAY)
    with clock.frozen(NOON + DAY):
        case = story.follow()
    assert case.decline_kind is DeclineKind.AUTHENTICATION
    assert case.next_due_at == NOON + DAY
    story.look(NOON + DAY)
    assert story.case.next_due_at == NOON + 3 * DAY
    assert story.steps() == {"mail:0": "done"}


def test_paying_recovers_it_and_nothing_opens_it_again(story: Story) -> None:
    case = pay(story, 4)
    assert (case.state, case.closed_at, case.cause) == (CaseState.RECOVERED, NOON + 4 * DAY, "paid")
    assert (case.next_due_at, case.amount) == (None, 1900)
    story.invoice.status = InvoiceStatus.OPEN
    make_failed_attempt(story.invoice, at=NOON + 5 * DAY)
    assert story.follow().state is CaseState.RECOVERED
    assert end(story, "cancellation_requested").state is CaseState.RECOVERED


@pytest.mark.parametrize(("days", "counted"), [(3, 3), (90, 0)])
def test_who_hears_late_of_an_old_invoice_has_all_days_before_them(
    make_story: MakeStory, days: int, counted: int
) -> None:
    heard = NOON + days * DAY
    story = make_story()
    with clock.frozen(heard):
        case = story.follow()
    assert (case.opened_at, case.next_due_at) == (NOON, heard - counted * DAY)
    story.look(heard)
    last = f"mail:{counted}"
    assert story.steps()[last] == "done"
    assert (story.case.walled_at, story.mails()[0].dedupe_key.split(":")[-1]) == (None, last[5:])
    story.look(heard + (14 - counted) * DAY)
    assert story.steps()["end:14"] == "done"


def test_a_case_heard_of_after_it_was_paid_is_the_same(make_story: MakeStory) -> None:
    in_time, late = make_story(), make_story(name="bob")
    in_time.follow()
    told = [pay(each, 2) for each in (in_time, late)]
    told_of = [
        "state",
        "opened_at",
        "closed_at",
        "amount",
        "decline_code",
        "channel",
        "step_key",
        "next_due_at",
        "cause",
    ]
    facts = [[getattr(case, name) for name in told_of] for case in told]
    assert facts[0] == facts[1]


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("cancellation_requested", CaseState.VOLUNTARY),
        ("payment_failed", CaseState.LOST),
        ("payment_disputed", CaseState.LOST),
    ],
)
def test_a_subscription_that_ends_closes_its_cases(
    story: Story, reason: str, state: CaseState
) -> None:
    case = end(story, reason)
    assert (case.state, case.closed_at) == (state, NOON + 5 * DAY)


def test_one_that_our_last_step_ended_is_lost_though_stripe_calls_it_requested(
    story: Story,
) -> None:
    make_step(story.case, "end:14")
    assert end(story, "cancellation_requested").state is CaseState.LOST


@pytest.mark.parametrize(
    ("invoice", "subscription", "asked", "state"),
    [
        (InvoiceStatus.VOID, SubscriptionStatus.ACTIVE, None, CaseState.WRITTEN_OFF),
        (InvoiceStatus.UNCOLLECTIBLE, SubscriptionStatus.UNPAID, None, CaseState.LOST),
        (
            InvoiceStatus.UNCOLLECTIBLE,
            SubscriptionStatus.UNPAID,
            OperationKind.WRITE_OFF,
            CaseState.WRITTEN_OFF,
        ),
    ],
)
def test_an_invoice_that_is_given_up_closes_its_case(
    story: Story,
    invoice: InvoiceStatus,
    subscription: SubscriptionStatus,
    asked: OperationKind | None,
    state: CaseState,
) -> None:
    if asked is not None:
        db.session.add(
            BillingOperation(
                customer_id=story.customer.id,
                kind=asked,
                target=story.invoice.stripe_id,
                idempotency_key="k",
                actor="staff",
            )
        )
    story.invoice.status, story.subscription.status = invoice, subscription
    assert story.follow().state is state


def test_the_last_way_somebody_came_by_gets_the_credit(make_story: MakeStory) -> None:
    def visited(story: Story, channel: Channel, days: float, *, used: bool, step: str = "") -> None:
        at = NOON + days * DAY
        link = CardLink(
            customer_id=story.customer.id,
            case_id=story.case.id if step else None,
            token_hash=f"{story.customer.id}-{channel}",
            channel=channel,
            step_key=step or None,
            opened_at=at,
            used_at=at if used else None,
            expires_at=at + DAY,
        )
        db.session.add(link)
        db.session.commit()

    alice = make_story()
    alice.follow()
    visited(alice, Channel.BANNER, 1, used=True)
    visited(alice, Channel.MAIL, 3.1, used=True, step="mail:3")
    visited(alice, Channel.WALL, 3.2, used=False)
    case = pay(alice, 5)
    assert (case.channel, case.step_key) == (Channel.MAIL, "mail:3")

    bob = make_story(name="bob")
    make_step(bob.follow(), "mail:3")
    visited(bob, Channel.WALL, 4.5, used=False)
    case = pay(bob, 5)
    assert (case.channel, case.step_key) == (Channel.WALL, "mail:3")

    charlie = make_story(name="charlie")
    make_step(charlie.follow(), "mail:0")
    visited(charlie, Channel.PORTAL, 1, used=False)
    case = pay(charlie, 5)
    assert (case.channel, case.step_key) == (Channel.RETRY, "mail:0")


def test_staff_who_had_it_tried_get_the_credit_and_unknown_money_nobody(
    make_story: MakeStory,
) -> None:
    alice = make_story()
    alice.follow()
    db.session.add(
        BillingOperation(
            customer_id=alice.customer.id,
            kind=OperationKind.PAY_INVOICE,
            target=alice.invoice.stripe_id,
            idempotency_key="k",
            actor="staff:1",
            created_at=NOON + 2 * DAY - timedelta(seconds=5),
        )
    )
    assert pay(alice, 2).channel is Channel.STAFF
    bob = make_story(name="bob")
    bob.follow()
    bob.invoice.status, bob.invoice.paid_at = InvoiceStatus.PAID, NOON + DAY
    bob.invoice.amount_paid = bob.invoice.amount_due
    assert bob.follow().channel is Channel.OTHER
