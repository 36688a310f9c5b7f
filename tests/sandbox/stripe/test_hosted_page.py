"""The hosted page as a browser without JavaScript meets it."""

from typing import Any

import pytest
import requests
import stripe
from selectolax.lexbor import LexborHTMLParser as HTMLParser
from selectolax.lexbor import LexborNode

from tests.sandbox.stripe.desk import CARD, Shop, line, words

SHIPPING: Any = [
    {"shipping_rate_data": {"display_name": n, "fixed_amount": {"amount": a, "currency": "usd"}}}
    for n, a in (("Post", 500), ("Courier", 1500))
]


def page(session: stripe.checkout.Session) -> HTMLParser:
    assert session.url
    response = requests.get(session.url, timeout=60)
    assert response.status_code == 200
    return HTMLParser(response.text)


def only(tree: HTMLParser, selector: str) -> LexborNode:
    node = tree.css_first(selector)
    assert node is not None
    return node


def names(tree: HTMLParser) -> set[str]:
    return {str(node.attributes["name"]) for node in tree.css("[name]") if node.tag != "meta"}


def test_the_page_shows_the_order_and_labels_every_field(shop: Shop) -> None:
    session = shop.session(
        line_items=[line(1999, 2)],
        shipping_address_collection={"allowed_countries": ["US", "DE"]},
        shipping_options=SHIPPING,
        phone_number_collection={"enabled": True},
        allow_promotion_codes=True,
    )
    tree = page(session)
    assert tree.body
    words = tree.body.text()
    for shown in ("Blue shirt", "$39.98", "2 × $19.99", "Post", "Courier", "$44.98"):
        assert shown in words
    wanted = {"email", "name", "line1", "line2", "city", "state", "postal_code", "country"}
    wanted |= {"phone", "card_number", "expiry", "cvc", "payment_method", "shipping_option"}
    assert wanted | {"promotion_code"} <= names(tree)
    labelled = {node.attributes["for"] for node in tree.css("label[for]")}
    fields = tree.css("input:not([type=hidden]):not([type=radio]), select")
    assert {node.attributes["id"] for node in fields} <= labelled
    countries = [node.attributes["value"] for node in tree.css("select[name=country] option")]
    assert countries == ["DE", "US"]
    assert only(tree, "a.back").attributes["href"] == "https://shop.test/cart"


def test_a_plain_session_asks_for_little(shop: Shop) -> None:
    assert not names(page(shop.session())) & {"line1", "phone", "promotion_code"}


def test_an_email_from_the_shop_is_locked(shop: Shop) -> None:
    session = shop.session(customer_email="bob@example.com")
    field = only(page(session), "input[name=email]")
    assert field.attributes["value"] == "bob@example.com"
    assert "readonly" in field.attributes
    shop.pay(session, email="mallory@example.com")
    details = shop.again(session).customer_details
    assert details
    assert details.email == "bob@example.com"


@pytest.mark.parametrize("number", ["4242424242424242", "5555 5555 5555 4444", "378282246310005"])
def test_a_good_card_pays_and_returns_to_the_shop(shop: Shop, number: str) -> None:
    session = shop.session()
    answer = shop.pay(session, card_number=number, cvc="1234" if number[0] == "3" else "123")
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"https://shop.test/thanks?session={session.id}"
    paid = shop.again(session)
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert shop.event_types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
        "charge.updated",
    ]


@pytest.mark.parametrize(
    ("number", "sentence", "decline_code"),
    [
        ("4000000000000002", "Your card was declined.", "generic_decline"),
        ("4000000000009995", "Your card has insufficient funds.", "insufficient_funds"),
        ("4000000000000069", "Your card has expired.", "expired_card"),
        ("4000000000000127", "Your card's security code is incorrect.", "incorrect_cvc"),
        ("4000000000000119", "An error occurred while processing your card.", "processing_error"),
        ("4000000000000341", "Your card was declined.", "generic_decline"),
        ("4012888888881881", "used a non test card", "test_mode_live_card"),
    ],
)
def test_a_declined_card_says_why_and_may_be_followed_by_a_good_one(
    shop: Shop, number: str, sentence: str, decline_code: str
) -> None:
    session = shop.session()
    answer = shop.pay(session, card_number=number)
    assert answer.status_code == 402
    assert sentence in words(answer)
    assert HTMLParser(answer.text).css_first("[role=alert]")
    failed = shop.again(session, "payment_intent").payment_intent
    assert isinstance(failed, stripe.PaymentIntent)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error
    assert failed.last_payment_error.decline_code == decline_code
    assert shop.pay(session).status_code == 303
    assert shop.event_types() == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
        "charge.updated",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"card_number": "4242424242424241"}, "Your card number is incorrect."),
        ({"card_number": ""}, "Your card number is incorrect."),
        ({"expiry": "13/34"}, "Your card's expiration month is invalid."),
        ({"expiry": "01/20"}, "Your card's expiration year is invalid."),
        ({"expiry": ""}, "Your card's expiration month is invalid."),
        ({"cvc": "1"}, "Your card's security code is invalid."),
    ],
)
def test_a_mistyped_card_never_reaches_the_bank(
    shop: Shop, changes: dict[str, str], sentence: str
) -> None:
    session = shop.session()
    answer = shop.pay(session, **changes)
    assert answer.status_code == 402
    assert sentence in words(answer)
    assert shop.event_types() == []


def test_the_two_ways_to_write_an_expiry(shop: Shop) -> None:
    session = shop.session()
    assert shop.pay(session, expiry="", exp_month="12", exp_year="2034").status_code == 303


def test_missing_details_are_named_beside_their_fields(shop: Shop) -> None:
    session = shop.session(
        shipping_address_collection={"allowed_countries": ["DE"]},
        phone_number_collection={"enabled": True},
    )
    answer = shop.pay(session, email="alice", line1="", country="US", phone="")
    assert answer.status_code == 422
    tree = HTMLParser(answer.text)
    faulty = {node.attributes["name"] for node in tree.css("[aria-invalid=true]")}
    assert faulty == {"email", "line1", "country", "phone"}
    kept = only(tree, "input[name=city]")
    assert kept.attributes["value"] == "Springfield"


def test_the_address_arrives_with_the_session_and_the_payment(shop: Shop) -> None:
    session = shop.session(
        shipping_address_collection={"allowed_countries": ["US"]},
        phone_number_collection={"enabled": True},
    )
    shop.pay(
        session,
        billing="other",
        billing_name="Bob Payer",
        billing_line1="2 High Street",
        billing_city="Leeds",
        billing_postal_code="LS1",
        billing_country="GB",
    )
    paid = shop.again(session, "payment_intent.latest_charge")
    assert paid.collected_information
    shipping = paid.collected_information.shipping_details
    assert shipping
    assert shipping.name == "Alice Example"
    assert shipping.address.line1 == "1 Main Street"
    assert paid.customer_details
    assert paid.customer_details.name == "Bob Payer"
    assert paid.customer_details.address
    assert paid.customer_details.address.country == "GB"
    assert paid.customer_details.phone == "+12175550100"
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.shipping
    assert intent.shipping.name == "Alice Example"
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.billing_details.name == "Bob Payer"


def test_another_way_to_ship_changes_the_total(shop: Shop) -> None:
    session = shop.session(shipping_options=SHIPPING)
    assert session.amount_total == 2500
    courier = session.shipping_options[1].shipping_rate
    assert isinstance(courier, str)
    answer = shop.pay(session, action="update", shipping_option=courier)
    assert answer.status_code == 200
    assert "$35.00" in words(answer)
    assert shop.pay(session, shipping_option=courier).status_code == 303
    paid = shop.again(session)
    assert paid.amount_total == 3500
    assert paid.shipping_cost
    assert paid.shipping_cost.shipping_rate == courier
    assert shop.pay(shop.session(), shipping_option="shr_x").status_code == 422


def test_nobody_pays_a_total_they_have_not_seen(shop: Shop) -> None:
    session = shop.session(shipping_options=SHIPPING)
    courier = str(session.shipping_options[1].shipping_rate)
    answer = shop.pay(session, shipping_option=courier, shown_total="2500")
    assert answer.status_code == 422
    assert "The total is now $35.00." in words(answer)
    assert shop.again(session).status == "open"


def test_a_promotion_code_is_put_on_taken_off_and_counted(shop: Shop) -> None:
    coupon = shop.api.coupons.create({"percent_off": 25, "max_redemptions": 1})
    shop.api.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SAVE25"}
    )
    session = shop.session(allow_promotion_codes=True)
    assert "$15.00" in words(shop.pay(session, action="apply_promotion", promotion_code="save25"))
    assert "$20.00" in words(shop.pay(session, action="remove_promotion"))
    wrong = shop.pay(session, action="apply_promotion", promotion_code="SAVE99")
    assert wrong.status_code == 422
    assert "This code is invalid." in words(wrong)
    assert shop.pay(session, promotion_code="SAVE25").status_code == 303
    paid = shop.again(session, "discounts.promotion_code")
    assert paid.amount_total == 1500
    assert paid.discounts
    code = paid.discounts[0].promotion_code
    assert isinstance(code, stripe.PromotionCode)
    assert (code.code, code.times_redeemed) == ("SAVE25", 1)
    late = shop.session(allow_promotion_codes=True)
    used_up = shop.pay(late, action="apply_promotion", promotion_code="SAVE25")
    assert "This code has expired." in words(used_up)


def test_a_code_with_a_minimum_waits_for_it(shop: Shop) -> None:
    coupon = shop.api.coupons.create({"percent_off": 25})
    shop.api.promotion_codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "code": "BIG",
            "restrictions": {"minimum_amount": 5000, "minimum_amount_currency": "usd"},
        }
    )
    small, big = (
        shop.session(line_items=[line(a)], allow_promotion_codes=True) for a in (4999, 5000)
    )
    assert shop.pay(small, promotion_code="BIG").status_code == 422
    assert shop.pay(big, promotion_code="BIG").status_code == 303


@pytest.mark.parametrize("number", ["4000002500003155", "4000002760003184"])
def test_the_bank_may_ask_first_and_be_told_yes(shop: Shop, number: str) -> None:
    session = shop.session()
    answer = shop.pay(session, card_number=number)
    assert answer.status_code == 303
    bank = answer.headers["Location"]
    assert "Confirm this payment" in words(requests.get(bank, timeout=60))
    waiting = shop.again(session, "payment_intent").payment_intent
    assert isinstance(waiting, stripe.PaymentIntent)
    assert waiting.status == "requires_action"
    done = requests.post(bank, data={"outcome": "complete"}, allow_redirects=False, timeout=60)
    assert done.headers["Location"].startswith("https://shop.test/thanks")
    assert shop.event_types()[:2] == ["payment_intent.created", "payment_intent.requires_action"]
    assert shop.again(session).payment_status == "paid"
    # A second click on the bank's button finds the payment made.
    twice = requests.post(bank, data={"outcome": "complete"}, allow_redirects=False, timeout=60)
    assert twice.status_code == 303
    assert shop.event_types().count("charge.succeeded") == 1


def test_the_bank_told_no_leads_back_to_the_page(shop: Shop) -> None:
    session = shop.session()
    bank = shop.pay(session, card_number="4000002500003155").headers["Location"]
    answer = requests.post(bank, data={"outcome": "fail"}, timeout=60)
    assert answer.status_code == 402
    assert "unable to authenticate your payment method" in words(answer)
    assert shop.event_types()[-1] == "payment_intent.payment_failed"
    assert shop.pay(session).status_code == 303


def test_a_second_click_on_pay_charges_once(shop: Shop) -> None:
    session = shop.session()
    first, second = shop.pay(session), shop.pay(session)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(shop.api.charges.list().data) == 1


def test_a_bank_debit_completes_unpaid_and_settles_later(shop: Shop) -> None:
    session = shop.session(line_items=[line(2000, currency="eur")])
    answer = shop.pay(session, payment_method="bank_debit", card_number="")
    assert answer.status_code == 303
    waiting = shop.again(session)
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    shop.control(f"sessions/{session.id}/async", outcome="succeeded")
    assert shop.again(session).payment_status == "paid"
    assert shop.event_types() == [
        "payment_intent.created",
        "payment_intent.processing",
        "charge.pending",
        "checkout.session.completed",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.async_payment_succeeded",
        "charge.updated",
    ]


def test_a_bank_debit_may_fail_in_the_end(shop: Shop) -> None:
    session = shop.session()
    shop.pay(session, payment_method="bank_debit")
    shop.control(f"sessions/{session.id}/async", outcome="failed")
    failed = shop.again(session, "payment_intent")
    assert failed.payment_status == "unpaid"
    assert isinstance(failed.payment_intent, stripe.PaymentIntent)
    assert failed.payment_intent.status == "requires_payment_method"
    assert shop.event_types()[-3:] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "checkout.session.async_payment_failed",
    ]


def test_closed_sessions_show_a_sentence(shop: Shop) -> None:
    paid, expired = shop.session(), shop.session()
    shop.pay(paid)
    shop.api.checkout.sessions.expire(expired.id)
    assert paid.url
    assert expired.url
    assert "You've already paid this order." in words(requests.get(paid.url, timeout=60))
    late = requests.get(expired.url, timeout=60)
    assert late.status_code == 410
    assert "nothing was charged" in words(late)
    assert shop.pay(expired).status_code == 410
    unknown = requests.get(f"{shop.sandbox.url}/c/pay/cs_x", timeout=60)
    assert unknown.status_code == 404


def test_what_a_buyer_types_is_never_markup(shop: Shop) -> None:
    answer = shop.pay(shop.session(), email='"><script>alert(1)</script>')
    assert answer.status_code == 422
    assert "<script>alert(1)" not in answer.text


def test_no_card_number_is_kept_where_a_shop_can_see_it(shop: Shop) -> None:
    session = shop.session()
    shop.pay(session, card_number=CARD["card_number"])
    everything = [
        "payment_intent.latest_charge",
        "payment_intent.payment_method",
    ]
    seen = str(shop.again(session, *everything)) + str(shop.api.events.list({"limit": 100}))
    assert CARD["card_number"] not in seen
    assert "4242" in seen
