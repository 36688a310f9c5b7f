"""How much mail may leave: a second's share by sender and by domain, and a day's by sender."""

from webapp.messaging.services.limits.days import give_back_of_day, take_of_day
from webapp.messaging.services.limits.domains import set_domain_limit
from webapp.messaging.services.limits.rates import Allowance, held_back, hold_back, let_go, take

__all__ = [
    "Allowance",
    "give_back_of_day",
    "held_back",
    "hold_back",
    "let_go",
    "set_domain_limit",
    "take",
    "take_of_day",
]
