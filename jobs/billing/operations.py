"""Asks Stripe for the changes that were written down."""

from webapp.billing.services import carrying_out


def carry_out(operation_id: int) -> None:
    carrying_out.carry_out(operation_id)
