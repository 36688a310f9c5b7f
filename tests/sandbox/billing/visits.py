"""A walk over every route of billing, for the checks against the wheel's types."""

from typing import Any

from tests.sandbox.stripe.desk import Shop


def visit_billing(shop: Shop) -> None:
    """Call each of billing's routes at least once, with what may be expanded."""
    api = shop.api
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_900_000_000})
    customer = api.customers.create({"test_clock": clock.id, "email": "bob@example.com"})
    card = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    default: Any = {"default_payment_method": card.id}
    api.customers.update(customer.id, {"invoice_settings": default})
    coupon = api.coupons.create({"percent_off": 10, "duration": "forever"})
    prices = [_price(shop, amount) for amount in (900, 2900)]
    _subscription(shop, customer.id, coupon.id, prices)
    _invoices(shop, customer.id)
    _balance(shop, customer.id)
    clocks = api.test_helpers.test_clocks
    clocks.list()
    clocks.retrieve(clock.id)
    clocks.advance(clock.id, {"frozen_time": 1_900_000_060})
    while clocks.retrieve(clock.id).status != "ready":
        continue
    clocks.delete(clock.id)


def _price(shop: Shop, amount: int) -> str:
    price: Any = {
        "product_data": {"name": "Gold"},
        "currency": "eur",
        "unit_amount": amount,
        "recurring": {"interval": "month"},
    }
    return shop.api.prices.create(price).id


def _subscription(shop: Shop, customer: str, coupon: str, prices: list[str]) -> None:
    api = shop.api.subscriptions
    params: Any = {
        "customer": customer,
        "items": [{"price": prices[0]}],
        "discounts": [{"coupon": coupon}],
        "expand": ["latest_invoice.payments", "discounts", "customer", "default_payment_method"],
    }
    subscription = api.create(params)
    item = subscription["items"].data[0].id
    shop.api.invoices.create_preview(
        {
            "subscription": subscription.id,
            "subscription_details": {"items": [{"id": item, "price": prices[1]}]},
        }
    )
    api.update(subscription.id, {"description": "Gold", "cancel_at_period_end": True})
    api.update(subscription.id, {"cancel_at_period_end": False})
    items = shop.api.subscription_items
    items.update(item, {"quantity": 2})
    items.retrieve(item)
    added = items.create({"subscription": subscription.id, "price": prices[1]})
    items.list({"subscription": subscription.id})
    items.delete(added.id)
    api.pause(subscription.id)
    api.resume(subscription.id)
    api.delete_discount(subscription.id)
    api.retrieve(subscription.id, {"expand": ["test_clock", "latest_invoice"]})
    api.list({"customer": customer, "status": "all"})
    shop.api.customers.retrieve(customer, {"expand": ["subscriptions", "test_clock"]})
    api.cancel(subscription.id, {"prorate": True})


def _invoices(shop: Shop, customer: str) -> None:
    api, items = shop.api.invoices, shop.api.invoice_items
    first = items.create({"customer": customer, "amount": 700, "currency": "eur"})
    items.update(first.id, {"description": "Work"})
    items.retrieve(first.id, {"expand": ["customer"]})
    items.list({"customer": customer})
    items.delete(items.create({"customer": customer, "amount": 5, "currency": "eur"}).id)
    drafts = [str(_draft(shop, customer).id) for _ in range(5)]
    api.update(drafts[0], {"description": "For work"})
    api.finalize_invoice(drafts[0])
    api.pay(drafts[0])
    api.line_items.list(drafts[0])
    payments = shop.api.invoice_payments.list({"invoice": drafts[0]}).data
    for payment in payments:
        shop.api.invoice_payments.retrieve(payment.id, {"expand": ["payment.payment_intent"]})
    api.retrieve(drafts[0], {"expand": ["payments.data.payment.payment_intent", "customer"]})
    api.finalize_invoice(drafts[1])
    api.void_invoice(drafts[1])
    api.finalize_invoice(drafts[2])
    api.mark_uncollectible(drafts[2])
    api.send_invoice(drafts[3])
    api.delete(drafts[4])
    api.list({"customer": customer, "expand": ["data.payments"]})


def _draft(shop: Shop, customer: str) -> Any:
    draft = shop.api.invoices.create({"customer": customer, "currency": "eur"})
    shop.api.invoice_items.create(
        {"customer": customer, "invoice": str(draft.id), "amount": 900, "currency": "eur"}
    )
    return draft


def _balance(shop: Shop, customer: str) -> None:
    api = shop.api.customers.balance_transactions
    entry = api.create(customer, {"amount": -500, "currency": "eur"})
    api.update(customer, entry.id, {"description": "Sorry"})
    api.retrieve(customer, entry.id)
    api.list(customer)
