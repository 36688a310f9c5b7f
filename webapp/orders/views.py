"""What a buyer opens from a mail: the order's status and the bought files."""

from flask import Blueprint, Response, render_template, send_from_directory

from webapp.core import clock
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.errors import NotFound
from webapp.core.signing import ExpiredToken, unsign
from webapp.core.state import current_fork
from webapp.orders.models import OrderDownload, OrderState
from webapp.orders.queries import order_id_of, view_order

blueprint = Blueprint("orders", __name__, url_prefix="/orders")


@blueprint.get("/status/<token>")
@open_to(EVERYONE)
def status(token: str) -> Response:
    """Show an order to whoever holds its signed link."""
    response = Response(render_template("orders/status.html", order=view_order(order_id_of(token))))
    return _private(response)


@blueprint.get("/download/<token>")
@open_to(EVERYONE)
def download(token: str) -> Response:
    """Hand over a bought file while its link lasts."""
    granted = db.session.get(OrderDownload, int(unsign("download", token)))
    if granted is None:
        raise NotFound("There is no such download.")
    ended = (OrderState.CANCELLED, OrderState.REFUNDED)
    if granted.expires_at <= clock.now() or granted.order.status in ended:
        raise ExpiredToken
    granted.downloads = OrderDownload.downloads + 1
    name = granted.file_name
    db.session.commit()
    folder = current_fork().upload_folder.resolve() / "downloads"
    return _private(send_from_directory(folder, name, as_attachment=True))


def _private(response: Response) -> Response:
    """The address is the key: keep it out of caches, indexes and referrers."""
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
