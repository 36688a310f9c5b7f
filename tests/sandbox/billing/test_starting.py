"""How a subscription starts: paid, on trial, refused, waiting for its customer."""

import pytest
import stripe

from sandbox.stripe.resources import payment_intents
from tests.sandbox.billing.desk import DAY, Desk, amounts, period
from tests.sandbox.stripe.desk import plain

PAID = [
    "customer.subscription.created",
    "invoice.created",
    "invoice.finalized",
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.updated",
    "invoice_payment.paid",
    "invoice.paid",
    "invoice.payment_succeeded",
    "customer.subscription.updated",
    "charge.updated",
]


def test_the_first_month_is_paid_at_once_and_told_in_stripes_order(desk: Desk) -> None:
    customer = desk.customer()
    price = desk.price()
    desk.pass_(hours=1)
    subscription = desk.subscribe(customer, price, metadata={"plan": "gold"})
    assert subscription.status == "active"
    assert period(subscription) == ("2027-01-31 11:00:00", "2027-02-28 11:00:00")
    invoice = desk.latest(subscription)
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_create")
    assert (invoice.amount_paid, invoice.amount_remaining, invoice.attempt_count) == (900, 0, 1)
    assert invoice.number
    assert invoice.number.endswith("-0001")
    assert invoice.lines.data[0].description == "1 × Gold (at €9.00 / month)"
    assert invoice.parent
    assert invoice.parent.subscription_details
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert plain(invoice.parent.subscription_details.metadata) == {"plan": "gold"}
    assert desk.told(since=desk.now) == PAID
    born, became = (e.body["data"] for e in desk.events() if "subscription" in e.body["type"])
    assert born["object"]["status"] == "incomplete"
    assert became["object"]["status"] == "active"
    assert became["previous_attributes"] == {"status": "incomplete"}


def test_an_invoices_payment_can_be_seen_with_its_intent(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price())
    expand = ["latest_invoice.payments.data.payment.payment_intent"]
    seen = desk.api.subscriptions.retrieve(subscription.id, {"expand": expand})
    assert isinstance(seen.latest_invoice, stripe.Invoice)
    assert seen.latest_invoice.payments
    payment = seen.latest_invoice.payments.data[0]
    assert isinstance(payment.payment.payment_intent, stripe.PaymentIntent)
    assert (payment.status, payment.payment.payment_intent.status) == ("paid", "succeeded")
    found = desk.api.invoice_payments.list({"invoice": seen.latest_invoice.id}).data
    assert [one.id for one in found] == [payment.id]
    assert desk.api.invoice_payments.retrieve(payment.id).amount_paid == 900


def test_a_refused_first_payment_leaves_23_hours(desk: Desk) -> None:
    customer, price = desk.customer("4000000000000341"), desk.price()
    subscription = desk.subscribe(customer, price)
    assert subscription.status == "incomplete"
    invoice = desk.latest(subscription)
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert invoice.next_payment_attempt is None
    desk.pass_(hours=22)
    assert desk.status(subscription) == "incomplete"
    desk.pass_(hours=1.1)
    assert desk.status(subscription) == "incomplete_expired"
    assert desk.latest(subscription).status == "void"
    desk.pass_(days=70)
    assert len(desk.invoices(subscription)) == 1


def test_another_card_completes_an_incomplete_subscription(desk: Desk) -> None:
    customer = desk.customer("4000000000009995")
    subscription = desk.subscribe(customer, desk.price())
    desk.give_card(customer)
    invoice = desk.latest(subscription)
    assert invoice.id
    desk.api.invoices.pay(invoice.id)
    assert desk.status(subscription) == "active"
    desk.pass_(hours=30)
    assert desk.status(subscription) == "active"


def test_nothing_is_left_of_a_subscription_that_had_to_be_paid(desk: Desk) -> None:
    customer, price = desk.customer("4000000000009995"), desk.price()
    with pytest.raises(stripe.CardError) as caught:
        desk.subscribe(customer, price, payment_behavior="error_if_incomplete")
    assert caught.value.code == "card_declined"
    assert desk.api.subscriptions.list({"customer": customer, "status": "all"}).data == []
    assert desk.api.invoices.list({"customer": customer}).data == []


def test_without_a_card_nothing_starts(desk: Desk) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        desk.subscribe(desk.customer(None), desk.price())


def test_the_first_payment_may_be_left_to_the_customer(desk: Desk) -> None:
    customer, price = desk.customer(None), desk.price()
    subscription = desk.subscribe(
        customer,
        price,
        payment_behavior="default_incomplete",
        expand=["latest_invoice.confirmation_secret"],
    )
    assert subscription.status == "incomplete"
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert subscription.latest_invoice.confirmation_secret
    secret = subscription.latest_invoice.confirmation_secret.client_secret
    intent = secret.partition("_secret_")[0]
    desk.api.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    assert desk.status(subscription) == "active"
    assert desk.latest(subscription).status == "paid"


def test_a_bank_that_asks_is_answered_once_and_remembered(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer("4000002500003155"), desk.price())
    assert subscription.status == "incomplete"
    assert "invoice.payment_action_required" in desk.told()
    with desk.machine.world(desk.account) as world:
        intent = world.rows("payment_intent")[0]
        assert intent.body["status"] == "requires_action"
        payment_intents.answer_bank(world, intent, agreed=True)
    assert desk.status(subscription) == "active"
    desk.pass_(days=29)
    assert [invoice.status for invoice in desk.invoices(subscription)] == ["paid", "paid"]


def test_a_trial_costs_nothing_and_then_begins_to(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(), desk.price(), trial_period_days=14)
    assert subscription.status == "trialing"
    assert subscription.trial_end == desk.now + 14 * DAY == subscription.billing_cycle_anchor
    first = desk.latest(subscription)
    assert (first.status, first.total, first.lines.data[0].description) == (
        "paid",
        0,
        "Trial period for Gold",
    )
    desk.pass_(days=10.9)
    assert "customer.subscription.trial_will_end" not in desk.told()
    desk.pass_(days=0.1)
    assert "customer.subscription.trial_will_end" in desk.told()
    desk.pass_(days=3)
    assert desk.status(subscription) == "active"
    assert desk.latest(subscription).status == "draft"
    desk.pass_(hours=1)
    assert (desk.latest(subscription).amount_paid, desk.latest(subscription).billing_reason) == (
        900,
        "subscription_cycle",
    )


def test_a_short_trial_is_told_of_at_once(desk: Desk) -> None:
    customer, price = desk.customer(), desk.price()
    desk.subscribe(customer, price, trial_end=desk.now + 2 * DAY)
    assert desk.told()[-5:-3] == [
        "customer.subscription.trial_will_end",
        "invoice.created",
    ]


@pytest.mark.parametrize(("behavior", "status"), [("cancel", "canceled"), ("pause", "paused")])
def test_a_trial_without_a_card_ends_as_it_was_set(desk: Desk, behavior: str, status: str) -> None:
    customer = desk.customer(None)
    subscription = desk.subscribe(
        customer,
        desk.price(),
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )
    desk.pass_(days=8)
    assert desk.status(subscription) == status
    assert len(desk.invoices(subscription)) == 1
    if status == "paused":
        desk.give_card(customer)
        assert desk.api.subscriptions.resume(subscription.id).status == "active"
        assert amounts(desk.latest(subscription)) == [900]
        assert "customer.subscription.resumed" in desk.told()


def test_a_trial_without_a_card_and_a_setting_becomes_past_due(desk: Desk) -> None:
    subscription = desk.subscribe(desk.customer(None), desk.price(), trial_period_days=7)
    desk.pass_(days=7, hours=2)
    assert desk.status(subscription) == "past_due"
    assert desk.latest(subscription).attempt_count == 1


def test_a_later_anchor_is_reached_for_its_share_of_a_month(desk: Desk) -> None:
    subscription = desk.subscribe(
        desk.customer(), desk.price(3100), billing_cycle_anchor=desk.now + 10 * DAY
    )
    # Ten of the 31 days that end on the tenth of February.
    assert desk.latest(subscription).total == 1000
    assert period(subscription) == ("2027-01-31 10:00:00", "2027-02-10 10:00:00")
    desk.pass_(days=11)
    assert desk.latest(subscription).total == 3100
    assert period(desk.again(subscription))[1] == "2027-03-10 10:00:00"


def test_discounts_count_as_long_as_they_promise(desk: Desk) -> None:
    once = desk.api.coupons.create({"percent_off": 50, "duration": "once"}).id
    months = desk.api.coupons.create(
        {"amount_off": 100, "currency": "eur", "duration": "repeating", "duration_in_months": 2}
    ).id
    code = desk.api.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": months}, "code": "SUN"}
    ).id
    price, customer = desk.price(1000), desk.customer()
    short = desk.subscribe(customer, price, discounts=[{"coupon": once}])
    long = desk.subscribe(customer, price, discounts=[{"promotion_code": code}])
    assert long.discounts
    for _ in range(3):
        desk.pass_(days=31)
    assert [invoice.total for invoice in desk.invoices(short)] == [500, 1000, 1000, 1000]
    assert [invoice.total for invoice in desk.invoices(long)] == [900, 900, 1000, 1000]
    assert desk.again(long).discounts == []
    assert desk.told().count("customer.discount.deleted") == 2
    assert desk.api.coupons.retrieve(months).times_redeemed == 1
    assert desk.api.promotion_codes.retrieve(code).times_redeemed == 1
    expand = ["discounts.source.coupon", "total_discount_amounts.discount"]
    first = desk.invoices(short)[0]
    assert first.id
    seen = desk.api.invoices.retrieve(first.id, {"expand": expand})
    assert isinstance(seen.discounts[0], stripe.Discount)
    assert isinstance(seen.discounts[0].source.coupon, stripe.Coupon)


def test_one_time_prices_come_along_with_the_first_invoice(desk: Desk) -> None:
    fee = desk.api.prices.create(
        {
            "product": desk.api.products.create({"name": "Set-up"}).id,
            "currency": "eur",
            "unit_amount": 500,
        }
    ).id
    subscription = desk.subscribe(
        desk.customer(), desk.price(), add_invoice_items=[{"price": fee, "quantity": 2}]
    )
    assert sorted(amounts(desk.latest(subscription))) == [900, 1000]
    desk.pass_(days=29)
    assert amounts(desk.latest(subscription)) == [900]


def test_a_bill_may_be_sent_instead_of_charged(desk: Desk) -> None:
    subscription = desk.subscribe(
        desk.customer(None), desk.price(), collection_method="send_invoice", days_until_due=10
    )
    assert subscription.status == "active"
    invoice = desk.latest(subscription)
    assert (invoice.status, invoice.due_date) == ("open", desk.now + 10 * DAY)
    desk.pass_(days=11)
    assert desk.status(subscription) == "past_due"
    assert "invoice.overdue" in desk.told()
    assert invoice.id
    desk.api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert desk.status(subscription) == "active"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"items": []}, "items"),
        ({"trial_end": 5}, "in the future"),
        ({"trial_period_days": 900}, "730 days"),
        ({"payment_behavior": "pending_if_incomplete"}, "only works for updates"),
        ({"default_payment_method": "pm_nobody"}, "No such PaymentMethod"),
        ({"discounts": [{"coupon": "NONE"}]}, "No such coupon"),
        ({"automatic_tax": {"enabled": True}}, "does not support"),
        ({"collection_method": "send_invoice"}, "days_until_due"),
    ],
)
def test_what_cannot_start_is_told_and_leaves_nothing(
    desk: Desk, wrong: dict[str, object], words: str
) -> None:
    customer, price = desk.customer(), desk.price()
    with pytest.raises(stripe.InvalidRequestError, match=words):
        desk.subscribe(customer, price, **wrong)
    assert desk.api.subscriptions.list({"customer": customer, "status": "all"}).data == []
