"""The customer portal as a browser without JavaScript meets it, and what it does to the plan."""

from typing import Any

import pytest
import requests
import stripe
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from tests.sandbox.stripe.desk import Shop, words
from tests.sandbox.stripe.member import NEW_CARD, Member, join, post


@pytest.fixture
def member(shop: Shop) -> Member:
    return join(shop)


def test_the_first_page_tells_plan_card_and_invoices(member: Member) -> None:
    url = member.open()
    page = requests.get(url, timeout=60)
    told = words(page)
    for text in ("Pro", "€9.00 a month", "Next charge on", "Visa •••• 4242", "Paid", "Bob"):
        assert text in told
    tree = HTMLParser(page.text)
    links = [str(node.attributes["href"]) for node in tree.css("a")]
    assert "https://shop.test/account" in links
    paper = next(link for link in links if link.endswith("/pdf"))
    pdf = requests.get(paper, timeout=60)
    assert pdf.headers["Content-Type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")


def test_cancelling_keeps_the_plan_to_its_end_and_can_be_taken_back(member: Member) -> None:
    url = member.open()
    form = requests.get(f"{url}/cancel?subscription={member.subscription}", timeout=60)
    assert "You keep it until" in words(form)
    sent = {"feedback": "too_expensive", "comment": " A lot. "}
    answer = post(f"{url}/cancel", subscription=member.subscription, **sent)
    assert answer.headers["Location"].endswith("?done=cancel")
    plan = member.plan()
    # A subscription in flexible mode is given a day; the boolean stays as it was.
    assert (plan.status, plan.cancel_at_period_end) == ("active", False)
    assert plan.cancel_at == plan["items"]["data"][0]["current_period_end"]
    assert plan.cancellation_details
    details = plan.cancellation_details
    assert (details.feedback, details.comment) == ("too_expensive", "A lot.")
    told = words(requests.get(url, timeout=60))
    assert "Ends on" in told
    assert "Keep the plan" in told
    member.shop.api.subscriptions.update(member.subscription, {"cancel_at_period_end": False})
    assert member.plan().cancel_at == plan.cancel_at
    both: Any = {"cancel_at": "", "cancel_at_period_end": False}
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        member.shop.api.subscriptions.update(member.subscription, both)
    post(f"{url}/renew", subscription=member.subscription)
    assert member.plan().cancel_at is None
    assert member.shop.event_types()[-2:] == ["customer.subscription.updated"] * 2


def test_another_plan_is_seen_before_it_is_taken(member: Member) -> None:
    url = member.open()
    asked = f"{url}/change?subscription={member.subscription}"
    options = HTMLParser(requests.get(asked, timeout=60).text).css("input[name=price]")
    assert {node.attributes["value"] for node in options} == set(member.prices.values())
    preview = requests.get(f"{asked}&price={member.prices['large']}", timeout=60)
    told = words(preview)
    assert "€29.00 a month" in told
    assert "Due on" in told
    assert member.plan()["items"]["data"][0]["price"]["id"] == member.prices["small"]
    date = HTMLParser(preview.text).css_first("input[name=proration_date]")
    assert date
    answer = post(
        f"{url}/change",
        subscription=member.subscription,
        price=member.prices["large"],
        proration_date=str(date.attributes["value"]),
    )
    assert answer.headers["Location"].endswith("?done=change")
    assert member.plan()["items"]["data"][0]["price"]["id"] == member.prices["large"]
    foreign = join(member.shop)
    post(f"{url}/change", subscription=foreign.subscription, price=foreign.prices["large"])
    assert foreign.plan()["items"]["data"][0]["price"]["id"] == foreign.prices["small"]


def test_a_change_that_cannot_be_paid_changes_nothing(member: Member) -> None:
    products: Any = [
        {"product": member.plan()["items"]["data"][0]["price"]["product"],
         "prices": list(member.prices.values()),
         "adjustable_quantity": {"enabled": True}},
    ]  # fmt: skip
    configuration = member.shop.api.billing_portal.configurations.create(
        {
            "features": {
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price", "quantity"],
                    "products": products,
                    "proration_behavior": "always_invoice",
                }
            }
        }
    )
    url = member.open(configuration=configuration.id)
    assert requests.get(f"{url}/cancel", timeout=60).status_code == 404
    member.shop.control("cards", customer=member.customer, number="4000000000000341")
    sent = {"subscription": member.subscription, "price": member.prices["large"], "quantity": "2"}
    seen = words(
        requests.get(f"{url}/change", params=sent, timeout=60),
    )
    assert "€58.00 a month" in seen
    assert "Due today" in seen
    answer = post(f"{url}/change", **sent)
    assert answer.status_code == 402
    assert "Your card was declined." in words(answer)
    item = member.plan()["items"]["data"][0]
    assert (item["price"]["id"], item["quantity"]) == (member.prices["small"], 1)
    assert len(member.shop.api.invoices.list({"customer": member.customer}).data) == 1


def test_a_new_card_is_charged_next_and_an_old_one_goes(member: Member) -> None:
    url = member.open()
    refused = post(f"{url}/card", **{**NEW_CARD, "card_number": "4000000000000002"})
    assert refused.status_code == 402
    assert "Your card was declined." in words(refused)
    bank = post(f"{url}/card", **{**NEW_CARD, "card_number": "4000002500003155"})
    back = post(bank.headers["Location"], outcome="complete")
    done = requests.get(back.headers["Location"], timeout=60)
    assert "the next charge goes to it" in words(done)
    customer = member.shop.api.customers.retrieve(member.customer)
    assert customer.invoice_settings
    new = customer.invoice_settings.default_payment_method
    methods = member.shop.api.payment_methods.list({"customer": member.customer}).data
    assert len(methods) == 2
    old = next(method.id for method in methods if method.id != new)
    post(f"{url}/remove", method=str(new))
    post(f"{url}/remove", method=old)
    left = member.shop.api.payment_methods.list({"customer": member.customer}).data
    assert [method.id for method in left] == [new]
    assert member.shop.event_types()[-1] == "payment_method.detached"


def test_a_plan_with_a_card_of_its_own_moves_to_the_new_one(member: Member) -> None:
    own = member.shop.api.payment_methods.attach(
        "pm_card_mastercard", {"customer": member.customer}
    )
    member.shop.api.subscriptions.update(member.subscription, {"default_payment_method": own.id})
    flow: Any = {
        "type": "payment_method_update",
        "after_completion": {
            "type": "redirect",
            "redirect": {"return_url": "https://shop.test/ok"},
        },
    }
    url = member.open(flow_data=flow)
    first = requests.get(url, timeout=60)
    assert first.url.endswith("/card")
    assert post(f"{url}/card", **NEW_CARD).headers["Location"] == "https://shop.test/ok"
    assert member.plan().default_payment_method not in (None, own.id)
    # The task is done: the link now shows the whole portal.
    assert "Invoices" in words(requests.get(url, timeout=60))


def test_a_link_to_cancel_may_offer_to_stay(member: Member) -> None:
    coupon = member.shop.api.coupons.create({"percent_off": 20, "duration": "forever"})
    flow: Any = {
        "type": "subscription_cancel",
        "subscription_cancel": {
            "subscription": member.subscription,
            "retention": {"type": "coupon_offer", "coupon_offer": {"coupon": coupon.id}},
        },
        "after_completion": {
            "type": "hosted_confirmation",
            "hosted_confirmation": {"custom_message": "See you around."},
        },
    }
    url = member.open(flow_data=flow)
    assert "Stay, and take 20% off for good." in words(requests.get(url, timeout=60))
    stayed = post(f"{url}/cancel", subscription=member.subscription, action="stay")
    assert "See you around." in words(stayed)
    plan = member.plan()
    assert (len(plan.discounts), plan.cancel_at_period_end) == (1, False)
    with pytest.raises(stripe.InvalidRequestError, match="does not belong to the customer"):
        join(member.shop).open(flow_data=flow)


def test_a_link_may_propose_one_change(member: Member) -> None:
    item = {"id": member.item, "price": member.prices["large"]}
    flow: Any = {
        "type": "subscription_update_confirm",
        "subscription_update_confirm": {"subscription": member.subscription, "items": [item]},
    }
    url = member.open(flow_data=flow)
    page = requests.get(url, timeout=60)
    assert "Confirm your new plan" in words(page)
    answer = post(f"{url}/change", subscription=member.subscription)
    assert answer.headers["Location"].endswith("?done=change")
    assert member.plan()["items"]["data"][0]["price"]["id"] == member.prices["large"]


def test_details_for_the_invoices_are_changed_within_what_is_allowed(member: Member) -> None:
    url = member.open()
    wrong = post(f"{url}/details", email="bob", name="Bob B.")
    assert wrong.status_code == 422
    sent = {"email": "bob@example.com", "name": "Bob B.", "line1": "2 High Street"}
    post(f"{url}/details", country="GB", **sent)
    customer = member.shop.api.customers.retrieve(member.customer)
    assert customer.name == "Bob B."
    assert customer.address
    assert (customer.address.line1, customer.address.country) == ("2 High Street", "GB")


def test_a_link_is_good_for_a_short_while(own: Shop) -> None:
    member = join(own)
    unused, used = member.open(), member.open()
    requests.get(used, timeout=60)
    own.control("clock", advance=301)
    late = requests.get(unused, timeout=60)
    assert late.status_code == 410
    assert "Please open it again from the shop." in words(late)
    assert requests.get(used, timeout=60).status_code == 200
    own.control("clock", advance=3601)
    assert requests.get(used, timeout=60).status_code == 410


def test_a_failed_payment_is_said_and_leads_to_its_invoice(own: Shop) -> None:
    member = join(own)
    own.control("cards", customer=member.customer, number="4000000000000341")
    own.control("clock", advance=32 * 86_400)
    assert member.plan().status == "past_due"
    page = requests.get(member.open(), timeout=60)
    assert "Your last payment failed. Pay €9.00" in words(page)
    invoice = own.api.invoices.retrieve(str(member.plan().latest_invoice))
    assert str(invoice.hosted_invoice_url) in page.text


def test_configurations_are_completed_merged_and_checked(shop: Shop) -> None:
    api = shop.api.billing_portal.configurations
    made = api.create(
        {
            "features": {"invoice_history": {"enabled": True}},
            "default_return_url": "https://shop.test/account",
        }
    )
    assert made.features.subscription_cancel.enabled is False
    changed = api.update(
        made.id, {"features": {"subscription_cancel": {"enabled": True, "mode": "immediately"}}}
    )
    assert changed.features.invoice_history.enabled is True
    assert changed.features.subscription_cancel.mode == "immediately"
    api.update(made.id, {"active": False})
    customer = shop.api.customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError, match="is inactive"):
        shop.api.billing_portal.sessions.create({"customer": customer, "configuration": made.id})
    wrong: Any = {"features": {"subscription_update": {"enabled": True}}}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.create(wrong)
    assert caught.value.param == "features[subscription_update][products]"
    flow: Any = {"type": "payment_method_update"}
    poor = api.create({"features": {"invoice_history": {"enabled": False}}})
    with pytest.raises(stripe.InvalidRequestError, match="disabled"):
        shop.api.billing_portal.sessions.create(
            {"customer": customer, "configuration": poor.id, "flow_data": flow}
        )
