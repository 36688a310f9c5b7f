"""The page of visits: what people did in the shop, day by day, over the last month."""

from admin.base import Page, page
from admin.campaigns.figures import KEPT, figures
from webapp.core.shop import get_shop


class Visits(Page):
    """Figures only: nobody's way through the shop is told here."""

    @page("/")
    def index(self) -> str:
        shop = get_shop()
        html: str = self.render(
            "admin/campaigns/visits.html",
            figures=figures(),
            minutes=int(KEPT.total_seconds() // 60),
            recording=shop.record_client_events,
        )
        return html
