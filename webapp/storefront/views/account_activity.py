"""What happened to the account: the audit, as the person it is about may read it."""

from flask import redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.queries.activity import PAGE_SIZE, count_activity, list_activity
from webapp.core.access import MEMBERS, open_to
from webapp.storefront.paging import page_of, read_page_number
from webapp.storefront.private import show_privately
from webapp.storefront.views.blueprint import blueprint


@blueprint.get("/account/activity")
@open_to(MEMBERS)
def account_activity() -> Response:
    number = read_page_number(request.args.get("page"))
    if number is None:
        return redirect(url_for("storefront.account_activity"))
    total = count_activity(current_user.id)
    found = list_activity(current_user.id, (number - 1) * PAGE_SIZE)
    page = page_of(found, total, number, PAGE_SIZE)
    if number > page.pages:
        return redirect(url_for("storefront.account_activity", page=page.pages))
    return show_privately("accounts/activity.html", page=page)
