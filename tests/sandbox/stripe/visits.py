"""Walks over the routes of what people see: every one called, every answer checked."""

from typing import Any

from tests.sandbox.stripe.desk import Shop, line


def visit_setups(shop: Shop) -> None:
    api = shop.api
    customer = api.customers.create({"email": "alice@example.com"})
    setup = api.setup_intents.create({"customer": customer.id, "metadata": {"why": "later"}})
    api.setup_intents.update(setup.id, {"description": "A card for later"})
    api.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"})
    expand = ["customer", "latest_attempt.payment_method", "payment_method"]
    api.setup_intents.retrieve(setup.id, {"expand": expand})
    api.setup_intents.list({"customer": customer.id})
    api.setup_attempts.list({"setup_intent": setup.id, "expand": ["data.setup_intent"]})
    asking = api.setup_intents.create(
        {
            "confirm": True,
            "payment_method": "pm_card_authenticationRequired",
            "return_url": "https://shop.test/back",
        }
    )
    api.setup_intents.cancel(asking.id, {"cancellation_reason": "abandoned"})
    session = shop.session(mode="setup", currency="eur", customer=customer.id, line_items=None)
    shop.pay(session)
    shop.again(session, "setup_intent.payment_method", "customer")


def visit_portal(shop: Shop, customer: str) -> None:
    api = shop.api.billing_portal
    everything: Any = {
        "customer_update": {"enabled": True, "allowed_updates": ["name", "email"]},
        "subscription_cancel": {
            "enabled": True,
            "cancellation_reason": {"enabled": True, "options": ["unused", "other"]},
        },
    }
    made = api.configurations.create({"features": everything, "metadata": {"a": "b"}})
    api.configurations.update(made.id, {"business_profile": {"headline": "Hello"}})
    api.configurations.retrieve(made.id)
    api.configurations.list({"active": True, "is_default": False})
    api.sessions.create({"customer": customer, "return_url": "https://shop.test/account"})
    flow: Any = {
        "type": "customer_update",
        "after_completion": {"type": "hosted_confirmation", "hosted_confirmation": {}},
    }
    api.sessions.create({"customer": customer, "configuration": made.id, "flow_data": flow})


def visit_subscribing(shop: Shop) -> None:
    """Checkout in subscription mode, whose invoice is then credited in every way."""
    recurring = {**line(900)["price_data"], "recurring": {"interval": "month"}}
    session = shop.session(
        mode="subscription",
        line_items=[{"price_data": recurring, "quantity": 1}],
        subscription_data={"metadata": {"user": "7"}},
    )
    shop.pay(session, card_number="4000000000000002")
    shop.pay(session)
    done = shop.again(session, "subscription", "line_items")
    visit_portal(shop, str(done.customer))
    api, paid = shop.api.credit_notes, str(done.invoice)
    api.preview({"invoice": paid, "amount": 100, "credit_amount": 100})
    api.preview_lines.list({"invoice": paid, "amount": 100, "credit_amount": 100, "limit": 3})
    note = api.create(
        {"invoice": paid, "amount": 100, "refund_amount": 100, "metadata": {"a": "b"}}
    )
    api.update(note.id, {"memo": "Sorry"})
    api.retrieve(note.id, {"expand": ["invoice", "customer", "refunds.refund"]})
    api.line_items.list(note.id)
    api.list({"customer": str(done.customer)})
    draft = shop.api.invoices.create({"customer": str(done.customer)})
    item: Any = {"customer": done.customer, "invoice": draft.id, "amount": 500, "currency": "usd"}
    shop.api.invoice_items.create(item)
    shop.api.invoices.finalize_invoice(str(draft.id))
    api.void_credit_note(api.create({"invoice": str(draft.id), "amount": 200}).id)
