"""Month after month: renewals, their hour as a draft, ends that were planned, and pauses."""

from typing import Any

import pytest

from tests.sandbox.billing.desk import DAY, HOUR, Desk, amounts, at, period


def test_months_end_where_the_calendar_ends_them(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price())
    ends = []
    for _ in range(4):
        ends.append(period(desk.again(subscription))[1])
        desk.go_to(at(ends[-1][:16]))
    assert ends == [
        "2027-02-28 10:00:00",
        "2027-03-31 10:00:00",
        "2027-04-30 10:00:00",
        "2027-05-31 10:00:00",
    ]


@pytest.mark.parametrize(
    ("interval", "count", "end"),
    [
        ("day", 3, "2027-02-03 10:00:00"),
        ("week", 2, "2027-02-14 10:00:00"),
        ("month", 3, "2027-04-30 10:00:00"),
        ("year", 1, "2028-01-31 10:00:00"),
    ],
)
def test_periods_are_as_long_as_the_price_says(
    desk: Desk, interval: str, count: int, end: str
) -> None:
    price = desk.price(recurring={"interval": interval, "interval_count": count})
    assert period(desk.subscribe(desk.customer(), price))[1] == end


def test_a_renewal_is_a_draft_for_an_hour_and_then_paid(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price())
    renewal = at("2027-02-28 10:00")
    desk.go_to(renewal)
    draft = desk.latest(subscription)
    assert (draft.status, draft.billing_reason) == ("draft", "subscription_cycle")
    assert draft.automatically_finalizes_at == draft.next_payment_attempt == renewal + HOUR
    assert (draft.period_start, draft.period_end) == (at("2027-01-31 10:00"), renewal)
    assert period(desk.again(subscription)) == ("2027-02-28 10:00:00", "2027-03-31 10:00:00")
    desk.pass_(hours=1)
    paid = desk.latest(subscription)
    assert (paid.id, paid.status, paid.status_transitions.paid_at) == (
        draft.id,
        "paid",
        renewal + HOUR,
    )
    assert desk.told(since=renewal) == [
        "invoice.created",
        "customer.subscription.updated",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "charge.updated",
    ]


def test_a_long_jump_renews_at_the_right_seconds(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price())
    desk.pass_(days=400)
    created = [invoice.created for invoice in desk.invoices(subscription)]
    assert len(created) == 14
    assert created[1:4] == [
        at("2027-02-28 10:00"),
        at("2027-03-31 10:00"),
        at("2027-04-30 10:00"),
    ]
    times = [event.body["created"] for event in desk.events()]
    assert times == sorted(times)


def test_what_is_coming_is_told_a_week_before(desk: Desk) -> None:
    desk.subscribe(desk.customer(), desk.price())
    desk.go_to(at("2027-02-21 10:00"))
    upcoming = desk.events()[-1].body
    assert upcoming["type"] == "invoice.upcoming"
    assert upcoming["created"] == at("2027-02-21 10:00")
    invoice = upcoming["data"]["object"]
    assert invoice["id"].startswith("upcoming_in_")
    assert (invoice["amount_due"], invoice["status"]) == (900, "draft")
    assert desk.api.invoices.list().data[0].billing_reason == "subscription_create"


def test_a_subscription_ends_with_its_period_unless_it_is_kept(desk: Desk) -> None:
    customer, price = desk.customer(), desk.price()
    leaving, staying = desk.subscribe(customer, price), desk.subscribe(customer, price)
    for one in (leaving, staying):
        update = desk.api.subscriptions.update(
            one.id,
            {
                "cancel_at_period_end": True,
                "cancellation_details": {"feedback": "too_expensive", "comment": "Too dear"},
            },
        )
        assert update.cancel_at == at("2027-02-28 10:00")
        assert update.canceled_at == desk.now
    kept = desk.api.subscriptions.update(staying.id, {"cancel_at_period_end": False})
    assert (kept.cancel_at, kept.canceled_at) == (None, None)
    desk.pass_(days=40)
    ended = desk.again(leaving)
    assert (ended.status, ended.ended_at) == ("canceled", at("2027-02-28 10:00"))
    assert ended.canceled_at == at("2027-01-31 10:00")
    assert ended.cancellation_details
    assert ended.cancellation_details.reason == "cancellation_requested"
    assert ended.cancellation_details.feedback == "too_expensive"
    assert len(desk.invoices(leaving)) == 1
    assert desk.status(staying) == "active"
    assert len(desk.invoices(staying)) == 2
    assert desk.told().count("customer.subscription.deleted") == 1


def test_a_subscription_ends_on_the_day_that_was_set(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(), cancel_at=desk.now + 40 * DAY)
    desk.pass_(days=50)
    ended = desk.again(subscription)
    assert (ended.status, ended.ended_at) == ("canceled", at("2027-01-31 10:00") + 40 * DAY)
    assert len(desk.invoices(subscription)) == 2


def test_cancelling_at_once_ends_it_and_stops_collecting(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price())
    desk.go_to(at("2027-02-28 10:00"))
    ended = desk.api.subscriptions.cancel(
        subscription.id, {"cancellation_details": {"comment": "Bye"}}
    )
    assert (ended.status, ended.ended_at) == ("canceled", desk.now)
    assert ended.cancellation_details
    assert ended.cancellation_details.comment == "Bye"
    draft = desk.latest(subscription)
    assert (draft.status, draft.auto_advance) == ("draft", False)
    desk.pass_(days=40)
    assert desk.latest(subscription).status == "draft"
    assert len(desk.invoices(subscription)) == 2


def test_cancelling_can_give_unused_time_back(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price(2800))
    desk.pass_(days=14)
    desk.api.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    assert amounts(desk.latest(subscription)) == [-1400]
    assert desk.api.customers.retrieve(customer).balance == -1400


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")],
)
def test_a_pause_collects_nothing_until_it_is_over(desk: Desk, behavior: str, status: str) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price())
    credit: Any = {"amount": -1000, "currency": "eur"}
    desk.api.customers.balance_transactions.create(customer, credit)
    desk.api.subscriptions.update(
        subscription.id,
        {"pause_collection": {"behavior": behavior, "resumes_at": at("2027-03-15 00:00")}},
    )
    desk.go_to(at("2027-03-01 10:00"))
    assert (desk.status(subscription), desk.latest(subscription).status) == ("active", status)
    told = desk.told(since=at("2027-02-01 00:00"))
    assert not {"charge.succeeded", "invoice.upcoming"} & set(told)
    assert desk.api.customers.retrieve(customer).balance == -1000
    desk.go_to(at("2027-04-01 10:00"))
    assert desk.again(subscription).pause_collection is None
    invoices = desk.invoices(subscription)
    assert [invoice.status for invoice in invoices] == ["paid", status, "paid"]
    assert invoices[-1].amount_due == 0
    assert desk.told().count("invoice.upcoming") == 1
    assert desk.api.customers.retrieve(customer).balance == -100


def test_a_subscription_itself_can_be_paused_and_resumed(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price(2800))
    desk.pass_(days=14)
    paused = desk.api.subscriptions.pause(subscription.id)
    assert paused.status == "paused"
    desk.pass_(days=60)
    assert len(desk.invoices(subscription)) == 1
    resumed = desk.api.subscriptions.resume(subscription.id)
    assert resumed.status == "active"
    # A whole month, less the two weeks that were not used before the pause.
    assert desk.latest(subscription).total == 1400
    assert resumed.billing_cycle_anchor == desk.now


def test_a_customer_who_is_deleted_ends_their_subscriptions(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price())
    desk.api.customers.delete(customer)
    assert desk.status(subscription) == "canceled"
    desk.pass_(days=40)
    assert len(desk.invoices(subscription)) == 1


def test_subscriptions_are_listed_by_what_they_are(desk: Desk) -> None:
    customer, price = desk.customer(), desk.price()
    running = desk.subscribe(customer, price)
    ended = desk.subscribe(customer, desk.price(100))
    desk.api.subscriptions.cancel(ended.id)

    def ids(**params: object) -> list[str]:
        asked: Any = params
        return [row.id for row in desk.api.subscriptions.list(asked).data]

    assert ids() == ids(customer=customer) == ids(price=price) == [running.id]
    assert ids(status="all") == [ended.id, running.id]
    assert ids(status="ended") == ids(status="canceled") == [ended.id]
    assert ids(current_period_end={"lt": desk.now}) == []
    assert ids(customer="cus_nobody") == []
