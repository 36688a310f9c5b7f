"""A room that a plan opens: what gating looks like from both sides."""

from flask import render_template

from webapp.billing.gating import require_plan
from webapp.billing.views.blueprint import blueprint
from webapp.core.access import MEMBERS, open_to


@blueprint.get("/pro")
@open_to(MEMBERS)
@require_plan("pro", "team")
def pro() -> str:
    return render_template("billing/pro.html")
