"""The pages of plans and payments; each module adds its routes to the one blueprint."""

from webapp.billing.views import (
    cancelling,
    card,
    changing,
    home,
    leaving,
    pricing,
    pro,
    wall,
)
from webapp.billing.views.blueprint import blueprint

__all__ = [
    "blueprint",
    "cancelling",
    "card",
    "changing",
    "home",
    "leaving",
    "pricing",
    "pro",
    "wall",
]
