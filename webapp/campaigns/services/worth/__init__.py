"""What a mail was worth: who read it, which links they followed, and what they then bought."""

from webapp.campaigns.services.worth.crediting import credit_order, expect_credit
from webapp.campaigns.services.worth.figures import Worth, compare, worth_of
from webapp.campaigns.services.worth.lists import (
    CreditedOrder,
    HourOfReading,
    LinkWorth,
    links_of,
    list_orders,
    opens_by_hour,
)

__all__ = [
    "CreditedOrder",
    "HourOfReading",
    "LinkWorth",
    "Worth",
    "compare",
    "credit_order",
    "expect_credit",
    "links_of",
    "list_orders",
    "opens_by_hour",
    "worth_of",
]
