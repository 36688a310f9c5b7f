"""The clock's table: what is called how often, and on which queue."""

from dataclasses import dataclass

from webapp.core.queue import Queue


@dataclass(frozen=True, slots=True)
class Every:
    """Call ``path()`` once in every slot of ``seconds``, and whenever a clock begins to lead."""

    seconds: int
    path: str
    queue: Queue = Queue.MAINTENANCE


SCHEDULE = [
    Every(5, "jobs.payments.drain_events", Queue.CRITICAL),
    Every(20, "jobs.orders.settle_checkouts", Queue.CRITICAL),
    Every(120, "jobs.orders.sweep_paid_sessions", Queue.CRITICAL),
    Every(6 * 3600, "jobs.orders.sweep_paid_sessions_deep"),
    Every(30, "jobs.orders.settle_refunds", Queue.CRITICAL),
    Every(300, "jobs.billing.sweep_events", Queue.CRITICAL),
    Every(60, "jobs.billing.tick_cases", Queue.CRITICAL),
    Every(3600, "jobs.billing.remind_of_cards", Queue.MAIL),
    Every(6 * 3600, "jobs.billing.sweep_events_deep"),
    Every(24 * 3600, "jobs.billing.reconcile"),
    Every(24 * 3600, "jobs.billing.check_plans"),
    Every(3600, "jobs.billing.tell_of_trials_ending", Queue.MAIL),
    Every(60, "jobs.messaging.settle_stale", Queue.MAIL),
    Every(30, "jobs.messaging.read_reports", Queue.MAIL),
    Every(24 * 3600, "jobs.messaging.purge_reports"),
    Every(30, "jobs.catalog.fetch_pictures", Queue.BULK),
    Every(5, "jobs.campaigns.keep_sending", Queue.MAIL),
    Every(5, "jobs.campaigns.send_due", Queue.BULK),
    Every(30, "jobs.campaigns.advance_sequences", Queue.BULK),
    Every(10, "jobs.campaigns.drain_client_events", Queue.TRACKING),
    Every(24 * 3600, "jobs.campaigns.purge_client_events"),
    Every(5, "jobs.campaigns.drain_tracking", Queue.TRACKING),
    Every(10, "jobs.campaigns.judge_tracking", Queue.TRACKING),
    Every(24 * 3600, "jobs.campaigns.purge_tracking"),
    Every(3600, "jobs.accounts.purge_unverified"),
    Every(3600, "jobs.privacy.erase_due"),
    Every(3600, "jobs.privacy.delete_old_exports"),
    Every(3600, "jobs.maintenance.purge"),
]
