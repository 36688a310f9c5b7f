"""What billing does outside a request: sync, ask Stripe for changes, mirror plans, chase, write."""

from jobs.billing.customers import follow_address
from jobs.billing.dunning import remind_of_cards, tick_cases
from jobs.billing.notices import tell_of_trials_ending
from jobs.billing.operations import carry_out
from jobs.billing.plans import check_plans, sync_plan
from jobs.billing.sync import reconcile, sweep_events, sweep_events_deep

__all__ = [
    "carry_out",
    "check_plans",
    "follow_address",
    "reconcile",
    "remind_of_cards",
    "sweep_events",
    "sweep_events_deep",
    "sync_plan",
    "tell_of_trials_ending",
    "tick_cases",
]
