"""The ways to ship that a session offers, inline rates included."""

from sandbox.stripe import errors
from sandbox.stripe.resources import shipping_rates
from sandbox.stripe.store import Json
from sandbox.stripe.world import World


def first_options(world: World, params: Json, currency: str) -> list[Json]:
    """A new session's `shipping_options`: at most five; raises ApiError."""
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
