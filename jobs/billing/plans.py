"""Plans at Stripe: written when they change, compared every night."""

import logging

from webapp.billing.services import mirroring
from webapp.core.db import db

logger = logging.getLogger(__name__)


def sync_plan(plan_id: int) -> None:
    """Make Stripe's product and prices like ours; asked again while Stripe is away."""
    mirroring.sync_plan(plan_id)


def check_plans() -> None:
    """Note for each plan what somebody changed at Stripe; one that can't be asked waits."""
    for plan_id in mirroring.list_mirrored_plans():
        try:
            drift = mirroring.check_plan(plan_id)
            db.session.commit()
        except Exception as error:
            db.session.rollback()
            logger.error("plan not compared", exc_info=error, extra={"plan": plan_id})
            continue
        if drift:
            logger.warning("plan differs at stripe", extra={"plan": plan_id, "in": sorted(drift)})
