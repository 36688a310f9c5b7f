"""What a buyer chooses before paying and what thereby changes the price."""

from sandbox.stripe.checkout import discounts, lines, pricing
from sandbox.stripe.checkout.buyer import Buyer
from sandbox.stripe.resources import promotion_codes
from sandbox.stripe.store import Row
from sandbox.stripe.world import World


def choose(world: World, session: Row, buyer: Buyer) -> dict[str, str]:
    """Take over the buyer's way to ship and code, which change what is to pay."""
    faults: dict[str, str] = {}
    option = buyer.shipping_option
    if option and not choose_shipping(world, session, option):
        faults["shipping_option"] = "Choose one of the ways to ship."
    if buyer.promotion_code and session.body["allow_promotion_codes"]:
        refusal = apply_code(world, session, buyer.promotion_code)
        if refusal:
            faults["promotion_code"] = refusal
    return faults


def choose_shipping(world: World, session: Row, option: str) -> bool:
    """Switch to a shipping rate of the session; whether there is one of this id."""
    known = [entry["shipping_rate"] for entry in session.body["shipping_options"]]
    if option not in known:
        return False
    if option != session.private["shipping"]:
        session.private["shipping"] = option
        pricing.price_session(world, session)
        world.save(session)
    return True


def apply_code(world: World, session: Row, code: str) -> str | None:
    """Redeem a code, or take it off with an empty one; a refusal is a sentence."""
    if not session.body["allow_promotion_codes"]:
        return "This session takes no promotion codes."
    if not code.strip():
        discounts.use_discount(session, None, None)
    else:
        row = promotion_codes.find_by_code(world, code)
        if row is None:
            return "This code is invalid."
        body = session.body
        subtotal = sum(lines.whole_amount(line) for line in session.private["lines"])
        refusal = promotion_codes.refusal(world, row, subtotal, body["currency"], body["customer"])
        if refusal:
            return refusal
        discounts.use_discount(session, row.body["promotion"]["coupon"], row.id)
    pricing.price_session(world, session)
    world.save(session)
    return None
