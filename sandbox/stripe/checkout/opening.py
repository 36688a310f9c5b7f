"""Opening a session: from Stripe's parameters to a row that is kept, priced and timed."""

from sandbox.stripe import errors, money
from sandbox.stripe.checkout import discounts, lines, pricing, session_body, shipping
from sandbox.stripe.checkout.buyer import customer_details, email_of
from sandbox.stripe.checkout.parameters import check_parameters
from sandbox.stripe.resources import setup_intents
from sandbox.stripe.resources.prices import checked_currency
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def open_session(world: World, params: Json) -> Row:
    """Keep a new open session; raises ApiError."""
    check_parameters(world, params)
    session = _setup(world, params) if params["mode"] == "setup" else _sale(world, params)
    session.body["url"] = f"{world.base_url}/c/pay/{session.id}"
    email = email_of(world, session)
    if email:
        session.body["customer_details"] = customer_details(email)
    world.save(session)
    world.set_timer(session.id, "expire", session.body["expires_at"])
    return session


def _sale(world: World, params: Json) -> Row:
    """A session in which something is bought, once or again and again."""
    items = lines.new_lines(world, params)
    currency = lines.one_currency(items, params)
    options = shipping.first_options(world, params, currency)
    session = world.add(
        "checkout.session",
        session_body.new_body(world, params, currency, options),
        {
            "lines": items,
            "payment_intent_data": params.get("payment_intent_data") or {},
            "subscription_data": params.get("subscription_data") or {},
            "customer_update": params.get("customer_update") or {},
            "shipping": options[0]["shipping_rate"] if options else None,
            "coupon": None,
            "promotion_code": None,
            "discount": None,
        },
    )
    discounts.take_first(world, session, params)
    pricing.price_session(world, session)
    total = session.body["amount_total"]
    least = money.MINIMUM.get(currency, 1)
    if 0 < total < least:
        raise errors.invalid(
            "The Checkout Session's total amount due must add up to at least "
            f"{money.written(least, currency)} {currency}",
            code="amount_too_small",
        )
    return session


def _setup(world: World, params: Json) -> Row:
    """A session in which a card is kept and nothing is paid; its intent is there from the start."""
    currency = checked_currency(params["currency"]) if params.get("currency") else None
    session = world.add(
        "checkout.session",
        session_body.new_body(world, params, currency, []),
        {
            "lines": [],
            "payment_intent_data": {},
            "customer_update": params.get("customer_update") or {},
            "shipping": None,
            "coupon": None,
            "promotion_code": None,
            "discount": None,
        },
    )
    data = params.get("setup_intent_data") or {}
    setup = setup_intents.new_setup(world, {**data, "customer": params.get("customer")}, ["card"])
    setup.private["session"] = session.id
    world.save(setup)
    session.body["setup_intent"] = setup.id
    return session
