"""What all routes share: keys, lists, expansion, and errors as Stripe words them."""

from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe import params
from tests.sandbox.stripe.desk import Shop, client_of, plain


def error_of(response: requests.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()["error"]
    return body


def test_a_call_without_a_key_is_refused(shop: Shop) -> None:
    answer = requests.get(f"{shop.sandbox.url}/v1/coupons", timeout=60)
    assert answer.status_code == 401
    assert error_of(answer)["message"].startswith("You did not provide an API key.")


def test_a_wrong_key_is_refused_and_hidden(shop: Shop) -> None:
    with pytest.raises(stripe.AuthenticationError) as caught:
        client_of(shop.sandbox, "sk_test_wrongwrongwrong").v1.coupons.list()
    assert caught.value.http_status == 401
    assert caught.value.user_message == "Invalid API Key provided: sk_test_***********rong"


def test_the_key_may_come_as_basic_auth(shop: Shop) -> None:
    url = f"{shop.sandbox.url}/v1/coupons"
    assert requests.get(url, auth=(shop.key, ""), timeout=60).status_code == 200


def test_accounts_do_not_see_each_other(shop: Shop) -> None:
    session = shop.session()
    other = Shop(shop.sandbox)
    assert other.api.checkout.sessions.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such checkout"):
        other.api.checkout.sessions.retrieve(session.id)


def test_every_answer_names_its_request_and_version(shop: Shop) -> None:
    answer = shop.raw("GET", "/v1/coupons")
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"
    coupons = shop.api.coupons.list()
    assert coupons.last_response
    assert coupons.last_response.request_id


def test_an_older_version_of_the_api_is_answered_and_a_strange_one_refused(shop: Shop) -> None:
    answer = shop.raw("GET", "/v1/coupons", **{"Stripe-Version": "2019-01-01"})
    assert answer.status_code == 200
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"
    answer = shop.raw("GET", "/v1/coupons", **{"Stripe-Version": "yesterday"})
    assert error_of(answer)["message"] == "Invalid Stripe API version: yesterday"


def test_an_unknown_address_is_told(shop: Shop) -> None:
    answer = shop.raw("GET", "/v1/unicorns")
    assert answer.status_code == 404
    assert error_of(answer)["message"].startswith("Unrecognized request URL (GET: /v1/unicorns).")
    shop.seen.clear()


def test_errors_carry_what_a_caller_needs(shop: Shop) -> None:
    error = error_of(shop.raw("GET", "/v1/coupons/nope"))
    assert error["type"] == "invalid_request_error"
    assert error["code"] == "resource_missing"
    assert error["param"] == "coupon"
    assert error["message"] == "No such coupon: 'nope'"
    assert error["doc_url"] == "https://stripe.com/docs/error-codes/resource-missing"
    assert error["request_log_url"].startswith("https://dashboard.stripe.com/test/logs/req_")


def test_a_declined_card_is_a_card_error(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as caught:
        shop.api.payment_intents.create(
            {
                "amount": 900,
                "currency": "usd",
                "confirm": True,
                "payment_method": "pm_card_chargeDeclinedInsufficientFunds",
            }
        )
    error = caught.value.error
    assert (caught.value.http_status, caught.value.code) == (402, "card_declined")
    assert error
    assert error.decline_code == "insufficient_funds"
    assert error.payment_intent
    assert error.payment_intent.status == "requires_payment_method"


def test_states_that_forbid_a_step_say_so(shop: Shop) -> None:
    intent = shop.api.payment_intents.create(
        {
            "amount": 900,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
        }
    )
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.api.payment_intents.cancel(intent.id)
    assert caught.value.code == "payment_intent_unexpected_state"
    assert "has a status of succeeded." in str(caught.value.user_message)


# Lists


@pytest.fixture
def coupons(shop: Shop) -> list[str]:
    """Ids of seven coupons, newest first, as lists give them."""
    for index in range(7):
        shop.api.coupons.create({"id": f"C{index}", "percent_off": 5})
    return [f"C{index}" for index in reversed(range(7))]


def test_pages_go_forward_and_back(shop: Shop, coupons: list[str]) -> None:
    def page(**wanted: Any) -> tuple[list[str], bool]:
        filters: Any = wanted
        found = shop.api.coupons.list(filters)
        return [coupon.id for coupon in found.data], found.has_more

    assert page(limit=3) == (coupons[:3], True)
    assert page(limit=3, starting_after="C4") == (coupons[3:6], True)
    assert page(limit=3, starting_after="C1") == (["C0"], False)
    assert page(limit=2, ending_before="C2") == (["C4", "C3"], True)
    assert page(limit=10, ending_before="C4") == (["C6", "C5"], False)


def test_paging_by_itself_reaches_everything(shop: Shop, coupons: list[str]) -> None:
    pages = shop.api.coupons.list({"limit": 2})
    assert [coupon.id for coupon in pages.auto_paging_iter()] == coupons
    backwards = shop.api.coupons.list({"limit": 2, "ending_before": "C0"})
    assert [coupon.id for coupon in backwards.auto_paging_iter()] == coupons[:-1][::-1]


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "nope"}, "starting_after"),
        ({"starting_after": "C1", "ending_before": "C2"}, "ending_before"),
    ],
)
def test_senseless_pages_are_refused(
    shop: Shop, coupons: list[str], wanted: Any, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.api.coupons.list(wanted)
    assert caught.value.param == param


def test_line_items_have_pages_too(shop: Shop) -> None:
    price = shop.api.prices.create(
        {"currency": "usd", "unit_amount": 100, "product_data": {"name": "Mug"}}
    )
    session = shop.session(line_items=[{"price": price.id, "quantity": n} for n in range(1, 13)])
    expanded = shop.again(session, "line_items").line_items
    assert expanded
    assert (len(expanded.data), expanded.has_more) == (10, True)
    items = shop.api.checkout.sessions.line_items.list(session.id, {"limit": 5})
    assert [item.quantity for item in items.auto_paging_iter()] == list(range(1, 13))


def test_events_filter_by_type_and_pattern(shop: Shop) -> None:
    shop.paid()
    events = shop.api.events
    assert len(events.list({"type": "charge.succeeded"}).data) == 1
    assert len(events.list({"type": "charge.*"}).data) == 2
    both: Any = ["charge.succeeded", "checkout.session.completed"]
    assert [e.type for e in events.list({"types": both}).data] == both[::-1]


# Expansion


def test_expansion_reaches_through_lists_and_levels(shop: Shop) -> None:
    shop.paid(customer_creation="always")
    paths = ["data.payment_intent.latest_charge.balance_transaction", "data.customer"]
    session = shop.api.checkout.sessions.list({"expand": paths}).data[0]
    assert isinstance(session.customer, stripe.Customer)
    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert isinstance(intent.latest_charge.balance_transaction, stripe.BalanceTransaction)


def test_what_cannot_be_expanded_is_told(shop: Shop) -> None:
    session = shop.session()
    for path in ("colour", "amount_total", "payment_intent.colour.more.and.more"):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            shop.again(session, path)
        assert caught.value.param == "expand"
    with pytest.raises(stripe.InvalidRequestError, match="This property cannot be expanded"):
        shop.again(session, "colour")


def test_expanding_what_is_not_there_yet_is_fine(shop: Shop) -> None:
    assert shop.again(shop.session(), "payment_intent.latest_charge").payment_intent is None


# Parameters


def test_brackets_are_decoded_as_stripe_does() -> None:
    assert params.decode("a[b][0][c]=1&a[b][1][c]=2&d[]=x&d[]=y&e=") == {
        "a": {"b": [{"c": "1"}, {"c": "2"}]},
        "d": ["x", "y"],
        "e": "",
    }
    assert params.as_list(params.decode("a[10]=k&a[2]=b")["a"]) == ["b", "k"]


def test_metadata_keys_may_be_numbers(shop: Shop) -> None:
    coupon = shop.api.coupons.create({"percent_off": 5, "metadata": {"0": "zero", "7": "x"}})
    assert plain(coupon.metadata) == {"0": "zero", "7": "x"}


def test_deleted_customers_leave_a_stub(shop: Shop) -> None:
    customer = shop.api.customers.create({"email": "bob@example.com"})
    assert shop.api.customers.delete(customer.id).deleted is True
    assert shop.api.customers.retrieve(customer.id).deleted is True
    assert shop.api.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        shop.session(customer=customer.id)
