"""From the parameters of `POST /v1/checkout/sessions` to a session, or to Stripe's refusal."""

from typing import Any
from urllib.parse import urlsplit

from sandbox.stripe import errors, money
from sandbox.stripe.checkout import totals
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources import (
    coupons,
    customers,
    payment_methods,
    prices,
    products,
    promotion_codes,
    shipping_rates,
)
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata

DAY = 86_400
SHORTEST = 30 * 60
_UNSUPPORTED = (
    "adaptive_pricing",
    "consent_collection",
    "custom_fields",
    "customer_account",
    "invoice_creation",
    "managed_payments",
    "name_collection",
    "optional_items",
    "payment_method_configuration",
    "payment_method_data",
    "permissions",
    "saved_payment_method_options",
    "setup_intent_data",
    "subscription_data",
    "tax_id_collection",
    "wallet_options",
)
_INTENT_UNSUPPORTED = ("application_fee_amount", "on_behalf_of", "transfer_data")


def open_session(world: World, params: Json) -> Row:
    """Keep a new open session; raises ApiError."""
    _check(world, params)
    lines = [_line(world, sent, index) for index, sent in enumerate(params["line_items"])]
    currency = _one_currency(lines, params)
    options = _shipping_options(world, params, currency)
    session = world.add(
        "checkout.session",
        _body(world, params, currency, options),
        {
            "lines": lines,
            "payment_intent_data": params.get("payment_intent_data") or {},
            "customer_update": params.get("customer_update") or {},
            "shipping": options[0]["shipping_rate"] if options else None,
            "coupon": None,
            "promotion_code": None,
            "discount": None,
        },
    )
    session.body["url"] = f"{world.base_url}/c/pay/{session.id}"
    _first_discount(world, session, params)
    price_session(world, session)
    total = session.body["amount_total"]
    least = money.MINIMUM.get(currency, 1)
    if 0 < total < least:
        raise errors.invalid(
            "The Checkout Session's total amount due must add up to at least "
            f"{money.written(least, currency)} {currency}",
            code="amount_too_small",
        )
    if session.body["url"] and _customer_email(world, session.body):
        session.body["customer_details"] = details(_customer_email(world, session.body))
    world.save(session)
    world.set_timer(session.id, "expire", session.body["expires_at"])
    return session


def details(email: str | None, **known: Any) -> Json:
    """`customer_details` with what is known so far."""
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
        **known,
    }


def _customer_email(world: World, body: Json) -> str | None:
    if body["customer"]:
        email = world.get("customer", body["customer"]).body["email"]
        return str(email) if email else None
    return body["customer_email"] or None


# Checks


def _check(world: World, params: Json) -> None:
    errors.unsupported(params, _UNSUPPORTED)
    errors.unsupported(params.get("payment_intent_data") or {}, _INTENT_UNSUPPORTED)
    _check_mode(params)
    _check_urls(params)
    _check_customer(world, params)
    _check_metadata(params)
    _check_expiry(world, params)
    if params.get("allow_promotion_codes") and params.get("discounts"):
        raise _only_one("allow_promotion_codes", "discounts")
    if len(params.get("discounts") or []) > 1:
        raise errors.invalid("You may only specify up to one discount.", "discounts")


def _check_mode(params: Json) -> None:
    if "mode" not in params:
        raise errors.invalid("Missing required param: mode.", "mode", "parameter_missing")
    if params["mode"] != "payment":
        raise errors.invalid(f"The sandbox does not support `{params['mode']}` mode yet.", "mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise errors.invalid(f"The sandbox does not support ui_mode `{params['ui_mode']}`.")
    if not params.get("line_items"):
        raise errors.invalid(
            "Missing required param: line_items.", "line_items", "parameter_missing"
        )
    if len(params["line_items"]) > 100:
        raise errors.invalid("You may only specify up to 100 line items.", "line_items")


def _check_urls(params: Json) -> None:
    if "success_url" not in params:
        raise errors.invalid(
            "Missing required param: success_url.", "success_url", "parameter_missing"
        )
    for name in ("success_url", "cancel_url"):
        url = params.get(name)
        if url is None:
            continue
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.invalid("Not a valid URL", name, "url_invalid")


def _only_one(*names: str) -> errors.ApiError:
    return errors.invalid(
        f"You may only specify one of these parameters: {', '.join(names)}.", names[0]
    )


def _check_customer(world: World, params: Json) -> None:
    if params.get("customer"):
        if params.get("customer_email"):
            raise _only_one("customer", "customer_email")
        if params.get("customer_creation"):
            raise _only_one("customer", "customer_creation")
        world.named("customer", params["customer"], "customer")
    elif params.get("customer_update"):
        raise errors.invalid(
            "`customer_update` can only be used with `customer`.", "customer_update"
        )
    customers.check_email(params.get("customer_email"), "customer_email")


def _check_metadata(params: Json) -> None:
    check_metadata(params.get("metadata") or {})
    intent = params.get("payment_intent_data") or {}
    check_metadata(intent.get("metadata") or {}, "payment_intent_data[metadata]")
    reference = params.get("client_reference_id")
    if reference and len(reference) > 200:
        raise errors.invalid(
            f"Invalid string: {reference[:10]}...{reference[-10:]}; must be at most 200 characters",
            "client_reference_id",
        )


def _check_expiry(world: World, params: Json) -> None:
    wanted = params.get("expires_at")
    if wanted is None:
        return
    # A second of grace: the caller took its time before ours.
    if wanted < world.now + SHORTEST - 2:
        raise errors.invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            "expires_at",
        )
    if wanted > world.now + DAY + 2:
        raise errors.invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            "expires_at",
        )


# Lines


def _line(world: World, sent: Json, index: int) -> Json:
    path = f"line_items[{index}]"
    price, product = _price(world, sent, path)
    if price.body["type"] == "recurring":
        raise errors.invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.",
            f"{path}[price]",
        )
    quantity = sent.get("quantity")
    if quantity is None:
        raise errors.invalid(
            "Quantity is required. Add `quantity` to `" + path + "`",
            f"{path}[quantity]",
            "parameter_missing",
        )
    if quantity < 1:
        raise errors.invalid("Invalid positive integer", f"{path}[quantity]")
    adjustable = sent.get("adjustable_quantity")
    if adjustable and adjustable["enabled"]:
        raise errors.invalid(
            "The sandbox does not support `adjustable_quantity` yet.",
            f"{path}[adjustable_quantity]",
        )
    check_metadata(sent.get("metadata") or {}, f"{path}[metadata]")
    rates = [
        world.named("tax_rate", id, f"{path}[tax_rates][{n}]").body
        for n, id in enumerate(sent.get("tax_rates") or [])
    ]
    return {
        "id": new_id("item"),
        "price": price.body,
        "quantity": quantity,
        "description": product.body["name"],
        "product": {
            "id": product.id,
            "description": product.body["description"],
            "images": product.body["images"],
        },
        "metadata": sent.get("metadata") or {},
        "tax_rates": rates,
    }


def _price(world: World, sent: Json, path: str) -> tuple[Row, Row]:
    if ("price" in sent) == ("price_data" in sent):
        if "price" in sent:
            raise _only_one(f"{path}[price]", f"{path}[price_data]")
        raise errors.invalid(f"You must specify either `price` or `price_data` in `{path}`.", path)
    if "price_data" in sent:
        return _inline_price(world, sent["price_data"], f"{path}[price_data]")
    price = world.named("price", sent["price"], f"{path}[price]")
    if not price.body["active"]:
        raise errors.invalid(
            "The price specified is inactive. This field only accepts active prices.",
            f"{path}[price]",
        )
    return price, world.get("product", price.body["product"])


def _inline_price(world: World, data: Json, path: str) -> tuple[Row, Row]:
    if ("product" in data) == ("product_data" in data):
        raise errors.invalid(
            f"You must specify either `product` or `product_data` in `{path}`.", f"{path}[product]"
        )
    if "product" in data:
        product = world.named("product", data["product"], f"{path}[product]")
    else:
        data_of_product = {k: v for k, v in data["product_data"].items() if k != "tax_details"}
        if not data_of_product["name"].strip():
            raise errors.invalid("Invalid name", f"{path}[product_data][name]")
        # What is made for one session is no part of the catalogue: it is born inactive.
        product = products.new_product(world, {**data_of_product, "active": False})
    sent = {**data, "product": product.id}
    return prices.new_price(world, sent, path, active=False), product


def _one_currency(lines: list[Json], params: Json) -> str:
    expected = str(params.get("currency") or lines[0]["price"]["currency"]).lower()
    for index, line in enumerate(lines):
        currency = line["price"]["currency"]
        if currency != expected:
            raise errors.invalid(
                f"The price specified only supports `{currency}`. This doesn't match the expected "
                f"currency: `{expected}`.",
                f"line_items[{index}][price]",
            )
    return expected


# Shipping


def _shipping_options(world: World, params: Json, currency: str) -> list[Json]:
    sent = params.get("shipping_options") or []
    if len(sent) > 5:
        raise errors.invalid("You may only specify up to 5 shipping options.", "shipping_options")
    return shipping_options(world, sent, currency)


def shipping_options(world: World, sent: list[Json], currency: str) -> list[Json]:
    """The session's `shipping_options` from those sent; inline rates become real ones."""
    shown = []
    for index, option in enumerate(sent):
        path = f"shipping_options[{index}]"
        if ("shipping_rate" in option) == ("shipping_rate_data" in option):
            raise errors.invalid(
                f"You must specify either `shipping_rate` or `shipping_rate_data` in `{path}`.",
                path,
            )
        if "shipping_rate" in option:
            rate = world.named("shipping_rate", option["shipping_rate"], f"{path}[shipping_rate]")
        else:
            rate = shipping_rates.new_shipping_rate(
                world, option["shipping_rate_data"], f"{path}[shipping_rate_data]"
            )
        if rate.body["fixed_amount"]["currency"] != currency:
            raise errors.invalid(
                f"The shipping rate's currency doesn't match the session's: `{currency}`.", path
            )
        amount = rate.body["fixed_amount"]["amount"]
        shown.append({"shipping_amount": amount, "shipping_rate": rate.id})
    return shown


# Discounts


def _first_discount(world: World, session: Row, params: Json) -> None:
    for sent in params.get("discounts") or []:
        if ("coupon" in sent) == ("promotion_code" in sent):
            raise _only_one("discounts[0][coupon]", "discounts[0][promotion_code]")
        if "coupon" in sent:
            coupon = world.named("coupon", sent["coupon"], "discounts[0][coupon]")
            if not coupons.is_valid(coupon.body, world.now):
                raise errors.invalid(
                    f"Coupon {coupon.id} is expired and cannot be applied.",
                    "discounts[0][coupon]",
                    "coupon_expired",
                )
            _check_coupon_currency(coupon, session.body["currency"])
            use_discount(session, coupon.id, None)
        else:
            _use_code(world, session, sent["promotion_code"])


def _check_coupon_currency(coupon: Row, currency: str) -> None:
    if coupon.body["currency"] not in (None, currency):
        raise errors.invalid(
            f"The coupon's currency ({coupon.body['currency']}) doesn't match the session's "
            f"({currency}).",
            "discounts[0][coupon]",
        )


def _use_code(world: World, session: Row, id: str) -> None:
    code = world.named("promotion_code", id, "discounts[0][promotion_code]")
    subtotal = sum(_amount(line) for line in session.private["lines"])
    refusal = promotion_codes.refusal(
        world, code, subtotal, session.body["currency"], session.body["customer"]
    )
    if refusal:
        raise errors.invalid(
            f"This promotion code cannot be redeemed. {refusal}",
            "discounts[0][promotion_code]",
        )
    use_discount(session, code.body["promotion"]["coupon"], code.id)


def use_discount(session: Row, coupon: str | None, code: str | None) -> None:
    """Set or clear the one discount of a session; the caller prices and saves it."""
    session.private |= {
        "coupon": coupon,
        "promotion_code": code,
        "discount": new_id("discount") if coupon else None,
    }
    session.body["discounts"] = [{"coupon": coupon, "promotion_code": code}] if coupon else []


# Prices


def _amount(line: Json) -> int:
    return totals.line_amount(line["price"]["unit_amount_decimal"], line["quantity"])


def _offer(world: World, session: Row) -> totals.Offer | None:
    coupon = world.find("coupon", session.private["coupon"])
    if coupon is None:
        return None
    if coupon.deleted:
        return None
    limited = (coupon.private.get("applies_to") or {}).get("products")
    return totals.Offer(
        coupon.body["percent_off"],
        coupon.body["amount_off"],
        frozenset(limited) if limited else None,
    )


def price_session(world: World, session: Row) -> None:
    """Work out every amount of a session anew; the caller saves it."""
    body, private = session.body, session.private
    chosen = next(
        (o for o in body["shipping_options"] if o["shipping_rate"] == private["shipping"]), None
    )
    lines = [
        totals.Line(_amount(line), line["product"]["id"], tuple(line["tax_rates"]))
        for line in private["lines"]
    ]
    shipping = chosen["shipping_amount"] if chosen else 0
    sums = totals.totals(lines, _offer(world, session), shipping)
    for line, result in zip(private["lines"], sums.lines, strict=True):
        line["amounts"] = {
            "amount_discount": result.discount,
            "amount_subtotal": result.subtotal,
            "amount_tax": result.tax,
            "amount_total": result.total,
        }
        line["taxes"] = [_tax(tax) for tax in result.taxes]
    body["amount_subtotal"] = sums.subtotal
    body["amount_total"] = sums.total
    body["total_details"] = {
        "amount_discount": sums.discount,
        "amount_shipping": sums.shipping,
        "amount_tax": sums.tax,
    }
    body["shipping_cost"] = chosen and {
        "amount_subtotal": shipping,
        "amount_tax": 0,
        "amount_total": shipping,
        "shipping_rate": chosen["shipping_rate"],
    }


def _tax(tax: totals.Tax) -> Json:
    return {
        "amount": tax.amount,
        "rate": tax.rate,
        "taxability_reason": None,
        "taxable_amount": tax.taxable,
    }


def line_item(line: Json, currency: str) -> Json:
    """A line as `/line_items` shows it."""
    return {
        "id": line["id"],
        "object": "item",
        "adjustable_quantity": None,
        **line["amounts"],
        "currency": currency,
        "description": line["description"],
        "metadata": line["metadata"],
        "price": line["price"],
        "quantity": line["quantity"],
    }


# The object


def _recovery(params: Json) -> Json | None:
    sent = (params.get("after_expiration") or {}).get("recovery")
    if not sent:
        return None
    recovery = {
        "allow_promotion_codes": sent.get("allow_promotion_codes", False),
        "enabled": sent["enabled"],
        "expires_at": None,
        "url": None,
    }
    return {"recovery": recovery}


def _types(params: Json, currency: str) -> list[str]:
    debit = payment_methods.BANK_DEBITS.get(currency)
    types = ["card", *([debit] if debit else [])]
    allowed = params.get("allowed_payment_method_types")
    if allowed:
        types = [type for type in types if type in allowed]
    types = [t for t in types if t not in (params.get("excluded_payment_method_types") or [])]
    if not types:
        raise errors.invalid(
            "No payment method types remain for this Checkout Session: the sandbox offers cards "
            "and the bank debit of the session's currency.",
            "allowed_payment_method_types",
        )
    return types


def _branding(params: Json) -> Json:
    sent = params.get("branding_settings") or {}
    return {
        "background_color": sent.get("background_color") or "#ffffff",
        "border_style": sent.get("border_style") or "rounded",
        "button_color": sent.get("button_color") or "#0074d4",
        "display_name": sent.get("display_name") or "Sandbox shop",
        "font_family": sent.get("font_family") or "default",
        "icon": sent.get("icon"),
        "logo": sent.get("logo"),
    }


def _custom_text(params: Json) -> Json:
    sent = params.get("custom_text") or {}
    names = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
    return {name: sent.get(name) for name in names}


def _automatic_tax(params: Json) -> Json:
    if not (params.get("automatic_tax") or {}).get("enabled"):
        return {"enabled": False, "liability": None, "provider": None, "status": None}
    return {
        "enabled": True,
        "liability": {"type": "self"},
        "provider": "stripe",
        "status": "requires_location_inputs",
    }


def _body(world: World, params: Json, currency: str, options: list[Json]) -> Json:
    collection = params.get("shipping_address_collection")
    return {
        "adaptive_pricing": {"enabled": False},
        "after_expiration": _recovery(params),
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "amount_subtotal": 0,
        "amount_total": 0,
        "automatic_tax": _automatic_tax(params),
        "billing_address_collection": params.get("billing_address_collection"),
        "branding_settings": _branding(params),
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": _custom_text(params),
        "customer": params.get("customer"),
        "customer_account": None,
        "customer_creation": None
        if params.get("customer")
        else params.get("customer_creation", "if_required"),
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "expires_at": params.get("expires_at") or world.now + DAY,
        "integration_identifier": params.get("integration_identifier"),
        "invoice": None,
        "invoice_creation": _invoice_creation(),
        "locale": params.get("locale"),
        "metadata": params.get("metadata") or {},
        "mode": "payment",
        "origin_context": params.get("origin_context"),
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": params.get("payment_method_collection", "if_required"),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": _types(params, currency),
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {
            "enabled": bool((params.get("phone_number_collection") or {}).get("enabled"))
        },
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": collection
        and {"allowed_countries": collection["allowed_countries"]},
        "shipping_cost": None,
        "shipping_options": options,
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params["success_url"],
        "total_details": None,
        "ui_mode": "hosted_page",
        "url": None,
        "wallet_options": None,
    }


def _invoice_creation() -> Json:
    data: Json = {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": None,
        "metadata": {},
        "rendering_options": None,
    }
    return {"enabled": False, "invoice_data": data}
