"""How the account collects: what a shopkeeper sets in Stripe's dashboard, here for all accounts."""

from dataclasses import asdict, dataclass, replace

from sandbox.stripe.store import Json, Store

_KEY = "billing"
_ENDS = ("cancel", "unpaid", "past_due")


@dataclass(frozen=True, slots=True)
class Settings:
    #: When a failed payment is tried again, in days after the first try.
    retry_days: tuple[float, ...] = (1, 3, 5, 7)
    #: What becomes of the subscription once every try has failed.
    when_exhausted: str = "past_due"
    #: How many days before a renewal `invoice.upcoming` is sent.
    upcoming_days: int = 7


def current(store: Store) -> Settings:
    kept = store.setting(_KEY, {})
    return _checked(replace(Settings(), **kept))


def change(store: Store, wanted: Json) -> Settings:
    """Replace some settings; raises ValueError with a sentence for an unknown or absurd one."""
    settings = current(store)
    unknown = set(wanted) - set(asdict(settings))
    if unknown:
        raise ValueError(f"Unknown billing setting: {', '.join(sorted(unknown))}.")
    settings = _checked(replace(settings, **wanted))
    store.remember(_KEY, asdict(settings))
    return settings


def _checked(settings: Settings) -> Settings:
    days = tuple(settings.retry_days)
    if any(day <= 0 for day in days) or list(days) != sorted(set(days)):
        raise ValueError("retry_days are days after the first try, in rising order.")
    if settings.when_exhausted not in _ENDS:
        raise ValueError(f"when_exhausted is one of {', '.join(_ENDS)}.")
    return replace(settings, retry_days=days)
