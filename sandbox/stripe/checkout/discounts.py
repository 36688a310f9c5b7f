"""The one discount of a session: how it is taken, what it promises, when it is used up."""

from sandbox.stripe import errors
from sandbox.stripe.checkout import lines, totals
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources import coupons, promotion_codes
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World


def take_first(world: World, session: Row, params: Json) -> None:
    """Use the discount a new session was sent with, if any; raises ApiError."""
    for sent in params.get("discounts") or []:
        if ("coupon" in sent) == ("promotion_code" in sent):
            raise errors.only_one("discounts[0][coupon]", "discounts[0][promotion_code]")
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
    subtotal = sum(lines.whole_amount(line) for line in session.private["lines"])
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


def offer_of(world: World, session: Row) -> totals.Offer | None:
    """What the session's coupon promises; None without one, or once it is deleted."""
    coupon = world.find("coupon", session.private["coupon"])
    if coupon is None or coupon.deleted:
        return None
    limited = (coupon.private.get("applies_to") or {}).get("products")
    return totals.Offer(
        coupon.body["percent_off"],
        coupon.body["amount_off"],
        frozenset(limited) if limited else None,
    )


def redeem(world: World, session: Row) -> None:
    """Count the session's coupon and code as used once more."""
    for kind in ("coupon", "promotion_code"):
        row = world.find(kind, session.private[kind])
        if row and not row.deleted:
            world.change(row, {"times_redeemed": row.body["times_redeemed"] + 1})
