"""Discounts: coupons and promotion codes as a subscription or an invoice holds them."""

from sandbox.stripe import errors
from sandbox.stripe.billing.periods import shifted
from sandbox.stripe.checkout.totals import Offer
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources import coupons, promotion_codes
from sandbox.stripe.store import Json, Row
from sandbox.stripe.timers import timer
from sandbox.stripe.world import World


def attach(world: World, sent: list[Json], holder: Json, currency: str, subtotal: int) -> list[str]:
    """Redeem what was sent as `discounts`; returns the ids of the discounts.

    `holder` has the customer, and the subscription or invoice that the discounts are for.
    """
    found = []
    for index, choice in enumerate(sent):
        path = f"discounts[{index}]"
        if len(choice) != 1:
            raise errors.invalid(
                f"You must specify exactly one of `coupon`, `discount` and `promotion_code` in "
                f"`{path}`.",
                path,
            )
        if "discount" in choice:
            found.append(world.named("discount", choice["discount"], f"{path}[discount]").id)
        else:
            coupon, code = _redeemed(world, choice, path, holder, currency, subtotal)
            found.append(_new_discount(world, coupon, code, holder).id)
    return found


def _redeemed(
    world: World, choice: Json, path: str, holder: Json, currency: str, subtotal: int
) -> tuple[Row, Row | None]:
    code = None
    if "promotion_code" in choice:
        path = f"{path}[promotion_code]"
        code = world.named("promotion_code", choice["promotion_code"], path)
        customer = holder.get("customer")
        refusal = promotion_codes.refusal(world, code, subtotal, currency, customer)
        if refusal:
            raise errors.invalid(f"This promotion code cannot be redeemed. {refusal}", path)
        coupon = world.named("coupon", code.body["promotion"]["coupon"], path)
        world.change(code, {"times_redeemed": code.body["times_redeemed"] + 1})
    else:
        path = f"{path}[coupon]"
        coupon = world.named("coupon", choice["coupon"], path)
        if not coupons.is_valid(coupon.body, world.now):
            raise errors.invalid(
                f"Coupon {coupon.id} is used up and cannot be applied.", path, "coupon_expired"
            )
    if coupon.body["currency"] not in (None, currency):
        raise errors.invalid(
            f"The coupon's currency ({coupon.body['currency']}) doesn't match the "
            f"subscription's ({currency}).",
            path,
        )
    world.change(coupon, {"times_redeemed": coupon.body["times_redeemed"] + 1})
    return coupon, code


def _new_discount(world: World, coupon: Row, code: Row | None, holder: Json) -> Row:
    months = coupon.body["duration_in_months"]
    repeating = coupon.body["duration"] == "repeating"
    body: Json = {
        "checkout_session": None,
        "customer": None,
        "customer_account": None,
        "end": shifted(world.now, "month", months) if repeating else None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": code.id if code else None,
        "source": {"coupon": coupon.id, "type": "coupon"},
        "start": world.now,
        "subscription": None,
        "subscription_item": None,
        **holder,
    }
    private = {
        "duration": coupon.body["duration"],
        "lane": holder.get("subscription"),
        "offer": _kept(coupon),
    }
    row = world.add("discount", body, private, id=new_id("discount"))
    if holder.get("subscription"):
        world.emit("customer.discount.created", row)
    if body["end"]:
        world.set_timer(row.id, "discount_end", body["end"])
    return row


def running(world: World, ids: list[str]) -> list[tuple[Row, Offer]]:
    """The discounts of these ids that count now, with what each of them promises."""
    found = []
    for id in ids:
        row = world.find("discount", id)
        if row is None or (row.body["end"] and row.body["end"] <= world.now):
            continue
        found.append((row, offer_of(row)))
    return found


def offer_of(discount: Row) -> Offer:
    """What was promised when the coupon was redeemed, whatever became of the coupon."""
    kept = discount.private["offer"]
    products = kept["products"]
    return Offer(kept["percent"], kept["amount"], frozenset(products) if products else None)


def _kept(coupon: Row) -> Json:
    return {
        "percent": coupon.body["percent_off"],
        "amount": coupon.body["amount_off"],
        "products": (coupon.private.get("applies_to") or {}).get("products"),
    }


def end(world: World, row: Row) -> None:
    """A discount is over; whoever holds it takes it off."""
    world.drop_timer(row.id, "discount_end")
    if row.private.get("ended"):
        return
    row.private["ended"] = True
    world.change(row, {"end": world.now})
    if row.body["subscription"]:
        world.emit("customer.discount.deleted", row)


@timer("discount_end")
def _end_due(world: World, id: str) -> None:
    row = world.find("discount", id)
    subscription = row and world.find("subscription", row.body["subscription"])
    if not row or not subscription or id not in subscription.body["discounts"]:
        return
    end(world, row)
    left = [other for other in subscription.body["discounts"] if other != id]
    previous = world.change(subscription, {"discounts": left})
    if not subscription.body["ended_at"]:
        world.emit("customer.subscription.updated", subscription, previous)
