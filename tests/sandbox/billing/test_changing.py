"""Changes in the middle of a period: prorated to the second, and shown before they are made."""

from typing import Any

import pytest
import stripe

from tests.sandbox.billing.desk import DAY, Desk, amounts, at, item_of, period

HALF = at("2027-02-14 10:00")


def change(
    desk: Desk, subscription: stripe.Subscription, price: str, **more: Any
) -> stripe.Subscription:
    params: Any = {"items": [{"id": item_of(subscription), "price": price}], **more}
    return desk.api.subscriptions.update(subscription.id, params)


def test_an_upgrade_is_settled_with_the_next_invoice(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(2800))
    dear = desk.price(5600)
    desk.go_to(HALF)
    changed = change(desk, subscription, dear)
    assert changed["items"].data[0].price.id == dear
    assert period(changed) == period(subscription)
    waiting = desk.api.invoice_items.list({"pending": True}).data
    assert sorted(item.amount for item in waiting) == [-1400, 2800]
    assert {item.proration for item in waiting} == {True}
    told = desk.told(since=HALF)
    assert [*told[-3:]] == ["invoiceitem.created"] * 2 + ["customer.subscription.updated"]
    previous = desk.events()[-1].body["data"]["previous_attributes"]
    assert list(previous) == ["items"]
    assert previous["items"]["data"][0]["price"]["unit_amount"] == 2800
    desk.go_to(at("2027-02-28 11:00"))
    assert amounts(desk.latest(subscription)) == [-1400, 2800, 5600]
    assert desk.latest(subscription).amount_paid == 7000
    assert desk.api.invoice_items.list({"pending": True}).data == []


def test_prorations_are_counted_to_the_second(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(900))
    dear = desk.price(2900)
    moment = HALF + 12_345
    left, whole = at("2027-02-28 10:00") - moment, 28 * DAY
    desk.go_to(HALF + DAY)
    change(desk, subscription, dear, proration_date=moment, proration_behavior="always_invoice")
    invoice = desk.latest(subscription)
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_update")
    assert amounts(invoice) == [-round(900 * left / whole), round(2900 * left / whole)]
    assert invoice.lines.data[0].period.start == moment
    assert invoice.lines.data[0].description == "Unused time on Gold after 14 Feb 2027"
    assert invoice.lines.data[1].description == "Remaining time on Gold after 14 Feb 2027"


def test_a_downgrade_leaves_credit_that_the_next_invoices_use_up(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price(5600))
    desk.go_to(HALF)
    change(desk, subscription, desk.price(1400), proration_behavior="always_invoice")
    credit = desk.latest(subscription)
    assert (credit.status, credit.total, credit.amount_due) == ("paid", -2100, 0)
    assert credit.ending_balance == -2100
    assert desk.api.customers.retrieve(customer).balance == -2100
    desk.go_to(at("2027-05-01 10:00"))
    due = [(i.total, i.starting_balance, i.amount_paid) for i in desk.invoices(subscription)[2:]]
    assert due == [(1400, -2100, 0), (1400, -700, 700), (1400, 0, 1400)]
    entries = desk.api.customers.balance_transactions.list(customer).data
    assert [(entry.amount, entry.ending_balance) for entry in entries] == [
        (700, 0),
        (1400, -700),
        (-2100, -2100),
    ]


def test_no_proration_changes_the_price_from_the_next_period_on(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(900))
    desk.go_to(HALF)
    change(desk, subscription, desk.price(1900), proration_behavior="none")
    desk.go_to(at("2027-02-28 11:00"))
    assert amounts(desk.latest(subscription)) == [1900]


def test_another_interval_begins_a_new_period_at_once(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(2800))
    desk.go_to(HALF)
    yearly = change(desk, subscription, desk.price(20000, "year"))
    assert period(yearly) == ("2027-02-14 10:00:00", "2028-02-14 10:00:00")
    assert yearly.billing_cycle_anchor == HALF
    assert amounts(desk.latest(subscription)) == [-1400, 20000]
    assert desk.latest(subscription).amount_paid == 18600
    desk.go_to(at("2027-04-14 10:00"))
    assert len(desk.invoices(subscription)) == 2


def test_quantities_are_prorated_too(desk: Desk) -> None:
    price = desk.price(1000)
    items: Any = [{"price": price, "quantity": 2}]
    subscription = desk.api.subscriptions.create({"customer": desk.customer(), "items": items})
    assert desk.latest(subscription).total == 2000
    desk.go_to(HALF)
    desk.api.subscription_items.update(
        item_of(subscription), {"quantity": 5, "proration_behavior": "always_invoice"}
    )
    assert amounts(desk.latest(subscription)) == [-1000, 2500]
    assert desk.again(subscription)["items"].data[0].quantity == 5


def test_items_come_and_go(desk: Desk) -> None:
    api = desk.api.subscription_items
    subscription = desk.subscribe(desk.customer(), desk.price(1000))
    desk.go_to(HALF)
    added = api.create({"subscription": subscription.id, "price": desk.price(400)})
    assert [item.id for item in api.list({"subscription": subscription.id}).data] == [
        item_of(subscription),
        added.id,
    ]
    assert api.retrieve(added.id).price.unit_amount == 400
    api.delete(added.id, {"proration_behavior": "none"})
    waiting = desk.api.invoice_items.list({"pending": True}).data
    assert [item.amount for item in waiting] == [200]
    with pytest.raises(stripe.InvalidRequestError, match="at least one item"):
        api.delete(item_of(subscription))


def test_what_was_discounted_is_given_back_discounted(desk: Desk) -> None:
    coupon = desk.api.coupons.create({"percent_off": 50, "duration": "once"}).id
    subscription = desk.subscribe(desk.customer(), desk.price(2800), discounts=[{"coupon": coupon}])
    desk.go_to(HALF)
    change(desk, subscription, desk.price(5600), proration_behavior="always_invoice")
    assert amounts(desk.latest(subscription)) == [-700, 2800]


def test_a_trial_changes_plans_for_nothing_and_can_end_now(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(900), trial_period_days=30)
    desk.pass_(days=3)
    change(desk, subscription, desk.price(1900))
    assert desk.api.invoice_items.list({"pending": True}).data == []
    ended = desk.api.subscriptions.update(subscription.id, {"trial_end": "now"})
    assert (ended.status, ended.trial_end) == ("active", desk.now)
    assert desk.latest(subscription).amount_paid == 1900
    assert period(ended)[1] == "2027-03-03 10:00:00"


def test_a_trial_can_be_made_longer(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(900), trial_period_days=5)
    later = desk.now + 20 * DAY
    longer = desk.api.subscriptions.update(subscription.id, {"trial_end": later})
    assert (longer.status, longer.trial_end, longer.billing_cycle_anchor) == (
        "trialing",
        later,
        later,
    )
    desk.pass_(days=10)
    assert desk.status(subscription) == "trialing"
    desk.pass_(days=11)
    assert desk.status(subscription) == "active"


def test_a_change_that_cannot_be_paid_is_past_due_or_never_was(desk: Desk) -> None:
    customer = desk.customer(None)
    method = desk.give_card(customer)
    subscription = desk.subscribe(customer, desk.price(900))
    dear = desk.price(2900)
    desk.spoil(method, "insufficient_funds")
    desk.go_to(HALF)
    with pytest.raises(stripe.CardError):
        change(
            desk,
            subscription,
            dear,
            proration_behavior="always_invoice",
            payment_behavior="error_if_incomplete",
        )
    assert desk.again(subscription)["items"].data[0].price.unit_amount == 900
    assert len(desk.invoices(subscription)) == 1
    change(desk, subscription, dear, proration_behavior="always_invoice")
    assert desk.status(subscription) == "past_due"


def previewed(desk: Desk, **params: Any) -> stripe.Invoice:
    asked: Any = params
    return desk.api.invoices.create_preview(asked)


def test_a_preview_is_what_the_change_then_costs(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(900))
    dear = desk.price(2900)
    desk.go_to(HALF + 777)
    details = {
        "items": [{"id": item_of(subscription), "price": dear}],
        "proration_behavior": "always_invoice",
        "proration_date": desk.now,
    }
    before = len(desk.events())
    shown = previewed(desk, subscription=subscription.id, subscription_details=details)
    assert len(desk.events()) == before
    assert len(desk.invoices(subscription)) == 1
    assert desk.again(subscription)["items"].data[0].price.unit_amount == 900
    assert shown.id
    assert shown.id.startswith("upcoming_in_")
    change(
        desk,
        subscription,
        dear,
        proration_behavior="always_invoice",
        proration_date=desk.now,
    )
    made = desk.latest(subscription)
    assert (shown.total, shown.amount_due, amounts(shown)) == (
        made.total,
        made.amount_paid,
        amounts(made),
    )


def test_a_preview_shows_the_next_renewal_with_what_waits(desk: Desk) -> None:
    customer = desk.customer()
    subscription = desk.subscribe(customer, desk.price(2800))
    plain = previewed(desk, subscription=subscription.id)
    assert (plain.total, plain.next_payment_attempt) == (2800, at("2027-02-28 11:00"))
    desk.go_to(HALF)
    details = {"items": [{"id": item_of(subscription), "price": desk.price(5600)}]}
    both = previewed(desk, subscription=subscription.id, subscription_details=details)
    assert amounts(both) == [-1400, 2800, 5600]
    recurring = previewed(
        desk,
        subscription=subscription.id,
        subscription_details=details,
        preview_mode="recurring",
    )
    assert amounts(recurring) == [5600]
    by_customer = previewed(desk, customer=customer)
    assert by_customer.total == 2800
    new = previewed(
        desk, customer=customer, subscription_details={"items": [{"price": desk.price(700)}]}
    )
    assert amounts(new) == [700]
    now = previewed(desk, subscription=subscription.id, subscription_details={"cancel_now": True})
    assert amounts(now) == [-1400]


def test_nothing_is_coming_for_one_who_leaves(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price())
    with pytest.raises(stripe.InvalidRequestError) as caught:
        previewed(
            desk,
            subscription=subscription.id,
            subscription_details={"cancel_at_period_end": True},
        )
    assert caught.value.code == "invoice_upcoming_none"
    desk.api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError):
        previewed(desk, subscription=subscription.id)


def test_a_discount_can_be_given_and_taken(desk: Desk) -> None:
    coupon = desk.api.coupons.create({"percent_off": 20, "duration": "forever"}).id
    subscription = desk.subscribe(desk.customer(), desk.price(1000))
    discounts: Any = [{"coupon": coupon}]
    given = desk.api.subscriptions.update(subscription.id, {"discounts": discounts})
    assert len(given.discounts) == 1
    desk.pass_(days=29)
    assert desk.latest(subscription).total == 800
    assert desk.api.subscriptions.delete_discount(subscription.id).id == given.discounts[0]
    desk.pass_(days=31)
    assert desk.latest(subscription).total == 1000


def test_an_ended_subscription_only_takes_notes(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price())
    desk.api.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="canceled subscription can only"):
        change(desk, subscription, desk.price(100))
    noted = desk.api.subscriptions.update(subscription.id, {"metadata": {"why": "moved"}})
    assert noted.metadata["why"] == "moved"


def test_an_incomplete_subscription_keeps_its_items(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer("4000000000000341"), desk.price())
    with pytest.raises(stripe.InvalidRequestError, match="incomplete subscription"):
        change(desk, subscription, desk.price(100))


def test_a_paused_subscription_changes_plans_for_when_it_is_resumed(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(2800))
    desk.go_to(HALF)
    desk.api.subscriptions.pause(
        subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}}
    )
    desk.pass_(days=60)
    change(desk, subscription, desk.price(400))
    desk.api.subscriptions.resume(subscription.id)
    assert amounts(desk.latest(subscription)) == [400]
