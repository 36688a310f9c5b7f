"""Refunds: full, partial, too much, twice, late and failing."""

import pytest
import stripe

from tests.sandbox.stripe.desk import Shop, plain


def intent_of(session: stripe.checkout.Session) -> str:
    assert isinstance(session.payment_intent, str)
    return session.payment_intent


def charge_of(shop: Shop, intent: str) -> stripe.Charge:
    return shop.api.charges.list({"payment_intent": intent}).data[0]


def paid_with(shop: Shop, card: str) -> str:
    session = shop.session()
    shop.pay(session, card_number=card)
    return intent_of(shop.again(session))


def test_a_full_refund(shop: Shop) -> None:
    intent = intent_of(shop.paid())
    refund = shop.api.refunds.create(
        {"payment_intent": intent, "reason": "requested_by_customer", "metadata": {"order": "1"}}
    )
    assert (refund.amount, refund.status) == (2000, "succeeded")
    charge = charge_of(shop, intent)
    assert (charge.refunded, charge.amount_refunded) == (True, 2000)
    assert shop.event_types()[5:] == [
        "charge.refunded",
        "refund.created",
        "refund.updated",
        "charge.refund.updated",
    ]
    event = shop.api.events.list({"type": "charge.refunded"}).data[0]
    assert event.data.object["amount_refunded"] == 2000
    assert plain(event.data.previous_attributes) == {"amount_refunded": 0, "refunded": False}


def test_partial_refunds_until_nothing_is_left(shop: Shop) -> None:
    intent = intent_of(shop.paid())
    first = shop.api.refunds.create({"payment_intent": intent, "amount": 500})
    assert charge_of(shop, intent).refunded is False
    second = shop.api.refunds.create({"charge": charge_of(shop, intent).id})
    assert second.amount == 1500
    assert charge_of(shop, intent).refunded is True
    listed = shop.api.refunds.list({"payment_intent": intent}).data
    assert [refund.id for refund in listed] == [second.id, first.id]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.api.refunds.create({"payment_intent": intent})
    assert caught.value.code == "charge_already_refunded"
    assert "has already been refunded." in str(caught.value.user_message)


def test_more_than_was_paid_is_refused(shop: Shop) -> None:
    intent = intent_of(shop.paid())
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.api.refunds.create({"payment_intent": intent, "amount": 2001})
    words = "Refund amount ($20.01) is greater than charge amount ($20.00)"
    assert caught.value.user_message == words
    assert caught.value.param == "amount"
    shop.api.refunds.create({"payment_intent": intent, "amount": 1500})
    words = r"Refund amount \(\$6.00\) is greater than unrefunded amount on charge \(\$5.00\)"
    with pytest.raises(stripe.InvalidRequestError, match=words):
        shop.api.refunds.create({"payment_intent": intent, "amount": 600})


def test_what_was_never_paid_cannot_be_refunded(shop: Shop) -> None:
    intent = paid_with(shop, "4000000000000002")
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        shop.api.refunds.create({"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError, match="No such payment_intent: 'pi_x'"):
        shop.api.refunds.create({"payment_intent": "pi_x"})
    with pytest.raises(stripe.InvalidRequestError, match="One of the following params"):
        shop.api.refunds.create({"amount": 5})


def test_a_refund_may_fail_after_it_succeeded(shop: Shop) -> None:
    intent = paid_with(shop, "4000000000005126")
    refund = shop.api.refunds.create({"payment_intent": intent})
    assert refund.status == "succeeded"
    shop.control(f"refunds/{refund.id}", status="failed")
    failed = shop.api.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert failed.failure_balance_transaction
    charge = charge_of(shop, intent)
    assert (charge.refunded, charge.amount_refunded) == (False, 0)
    assert "refund.failed" in shop.event_types()
    # The money is the shop's again, so it can be given back another time.
    assert shop.api.refunds.create({"payment_intent": intent}).amount == 2000


def test_a_refund_may_take_a_while(shop: Shop) -> None:
    intent = paid_with(shop, "4000000000007726")
    refund = shop.api.refunds.create({"payment_intent": intent})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    shop.control(f"refunds/{refund.id}", status="succeeded")
    assert shop.api.refunds.retrieve(refund.id).status == "succeeded"


def test_the_balance_counts_fees_and_refunds(shop: Shop) -> None:
    intent = intent_of(shop.paid())
    shop.api.refunds.create({"payment_intent": intent, "amount": 500})
    entries = shop.api.balance_transactions.list().data
    assert [(e.type, e.amount, e.fee, e.net) for e in entries] == [
        ("refund", -500, 0, -500),
        ("charge", 2000, 88, 1912),
    ]
