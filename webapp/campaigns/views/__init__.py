"""What readers and visitors meet: tracked links, ways to leave and to join, the archive."""

from webapp.campaigns.views import archive, joining, leaving, tracking, visits
from webapp.campaigns.views.blueprint import blueprint

__all__ = ["archive", "blueprint", "joining", "leaving", "tracking", "visits"]
