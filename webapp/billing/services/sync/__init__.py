"""What Stripe says is so, written into our rows: one way for webhooks, return pages and repairs."""

from webapp.billing.services.sync.references import Fact, Ref, RefKind, refs_of
from webapp.billing.services.sync.running import Result, sync_facts, sync_now

__all__ = ["Fact", "Ref", "RefKind", "Result", "refs_of", "sync_facts", "sync_now"]
