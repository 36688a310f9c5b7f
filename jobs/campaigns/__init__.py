"""What campaigns do outside a request: send, judge what came back, follow up, note visits."""

from jobs.campaigns.visits import drain_client_events, purge_client_events

__all__ = ["drain_client_events", "purge_client_events"]
