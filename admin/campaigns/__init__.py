"""The rooms of visitors: what they did day by day, and the ads that brought them."""

from admin.campaigns.ads import Ads
from admin.campaigns.visits import Visits

__all__ = ["Ads", "Visits"]
