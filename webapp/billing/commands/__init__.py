"""The operator's commands of billing."""

from webapp.billing.commands.numbers import numbers
from webapp.billing.commands.plans import plan

__all__ = ["numbers", "plan"]
