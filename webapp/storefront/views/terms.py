"""The terms of use for everybody to read, and for each who has an account to agree to."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.accounts.forms.account import AgreementForm
from webapp.accounts.services import terms as services
from webapp.accounts.views.guard import SignedIn, actor, add_duty, same_site
from webapp.core.access import EVERYONE, MEMBERS, open_to
from webapp.core.db import db
from webapp.storefront.private import show_privately
from webapp.storefront.reading import read_without_transaction
from webapp.storefront.richtext import clean_html
from webapp.storefront.views.blueprint import blueprint

MAX_TEXT = 255
# Whoever does not agree may still take their data along and leave.
WAY_OUT = ("/account/data", "/account/prove", "/export/")


@blueprint.get("/terms")
@open_to(EVERYONE)
def terms() -> str:
    read_without_transaction()
    found = services.list_published()
    newest = found[0] if found else None
    return render_template(
        "accounts/terms.html",
        terms=newest,
        body=clean_html(newest.body) if newest else None,
        newest=newest,
        others=found[1:],
    )


@blueprint.get("/terms/<version>")
@open_to(EVERYONE)
def terms_version(version: str) -> str:
    if "\0" in version or len(version) > MAX_TEXT:
        abort(404)
    read_without_transaction()
    found = services.list_published()
    asked = next((each for each in found if each.version == version), None)
    if asked is None:
        abort(404)
    return render_template(
        "accounts/terms.html",
        terms=asked,
        body=clean_html(asked.body),
        newest=found[0],
        others=[each for each in found if each is not asked],
    )


@blueprint.route("/account/terms", methods=["GET", "POST"])
@open_to(MEMBERS)
def account_terms() -> Response:
    """Ask for agreement with the version in force, and lead on to where the person was going."""
    target = same_site(request.args.get("next"))
    form = AgreementForm()
    owed = services.find_owed_terms(current_user.id)
    if owed is None:
        return redirect(target or url_for("storefront.account"), 303)
    if form.validate_on_submit():
        # Between reading and pressing a newer version may have come: nobody agrees unread.
        if int(form.terms.data) == owed.id:
            services.agree(current_user.user, owed, actor())
            db.session.commit()
            return redirect(target or url_for("storefront.account"), 303)
        flash("The terms have changed since you read them. Here is the new version.", "info")
        return redirect(url_for("storefront.account_terms", next=target), 303)
    form.terms.data = str(owed.id)
    return show_privately(
        "accounts/terms_agree.html", terms=owed, body=clean_html(owed.body), form=form
    )


def owes_agreement(person: SignedIn) -> str | None:
    """The duty: nobody goes on under terms they have not agreed to."""
    if request.path.startswith(WAY_OUT) or services.find_owed_terms(person.id) is None:
        return None
    going = request.full_path.rstrip("?") if request.method == "GET" else None
    return url_for("storefront.account_terms", next=going)


add_duty(owes_agreement, "storefront.account_terms")
