"""What happens after a mail arrived: where its links lead, who followed them, and was it a person.

A request only looks a link up and holds an event; jobs bring the events to Postgres and judge them.
"""

from webapp.campaigns.services.tracking.event import Event
from webapp.campaigns.services.tracking.holding import hold
from webapp.campaigns.services.tracking.judging import judge
from webapp.campaigns.services.tracking.links import find_link, publish_links

__all__ = ["Event", "find_link", "hold", "judge", "publish_links"]
