"""How this fork bills."""

from webapp.billing.models import BillingSettings, CancelOffer
from webapp.core.db import db


def get_settings() -> BillingSettings:
    """Return the fork's habits; the defaults where nobody has chosen yet, as a row not yet kept."""
    return db.session.get(BillingSettings, 1) or BillingSettings(
        id=1,
        offer=CancelOffer.PAUSE,
        offer_percent=30,
        offer_months=3,
        pause_months=1,
        cancel_at_period_end=True,
        time_zone="UTC",
    )
