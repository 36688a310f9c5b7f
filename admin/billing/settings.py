"""The page of how this shop bills: what leaving customers are offered, when they are gone."""

from typing import Any
from zoneinfo import available_timezones

from flask import flash, redirect, request
from werkzeug import Response
from wtforms import Form, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange

from admin.base import Page, Refusing, page
from admin.fields import one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.billing.models import BillingSettings, CancelOffer
from webapp.billing.queries.settings import get_settings
from webapp.billing.services.habits import Habits, edit_settings
from webapp.core.db import db
from webapp.core.fields import WholeField

OFFERS = {
    CancelOffer.NONE: "Nothing",
    CancelOffer.PAUSE: "A pause",
    CancelOffer.DISCOUNT: "A discount",
}
LATER, AT_ONCE = "later", "at_once"


class BillingForm(Form):
    offer = SelectField(
        "Offer",
        [InputRequired("Choose one.")],
        description="To whoever pays by the month; who paid for a year keeps the year.",
        choices=[SelectChoice(each.value, title) for each, title in OFFERS.items()],
    )
    pause_months = WholeField("Months of a pause", [InputRequired(), NumberRange(1, 12)])
    offer_percent = WholeField("Percent of a discount", [InputRequired(), NumberRange(1, 100)])
    offer_months = WholeField("Months of a discount", [InputRequired(), NumberRange(1, 24)])
    leaving = RadioField(
        "Leaving takes effect",
        [InputRequired("Choose one.")],
        choices=[
            SelectChoice(LATER, "When the paid time is over"),
            SelectChoice(AT_ONCE, "At once"),
        ],
    )
    time_zone = StringField(
        "Time zone",
        [InputRequired("Like Europe/Berlin."), Length(max=60), one_line],
        description="Quiet hours go by its clock for whoever's own zone isn't known.",
        render_kw={"list": "time-zones", "autocomplete": "off"},
    )

    def habits(self) -> Habits:
        return Habits(
            offer=CancelOffer(self.offer.data),
            offer_percent=self.offer_percent.data,
            offer_months=self.offer_months.data,
            pause_months=self.pause_months.data,
            cancel_at_period_end=self.leaving.data == LATER,
            time_zone=(self.time_zone.data or "").strip(),
        )


class BillingHabits(Page):
    """The one row of billing's settings, as one page."""

    sections = (
        (
            "Who wants to leave is offered",
            ("offer", "pause_months", "offer_percent", "offer_months"),
        ),
        ("Leaving", ("leaving",)),
        ("Clock", ("time_zone",)),
    )

    @page("/", write=Permission.SETTINGS_EDIT)
    def index(self) -> Response | tuple[str, int]:
        posted = request.method == "POST"
        form = BillingForm(request.form if posted else None, data=_typed_before(get_settings()))
        if posted and form.validate():
            with Refusing({}) as refusal:
                edit_settings(form.habits(), actor())
                db.session.commit()
                flash("The settings are saved.", "success")
                return redirect(self.get_url(".index"), 303)
            form.form_errors = [refusal.sentence]
        html = self.render(
            "admin/billing/settings.html",
            form=form,
            sections=self.sections,
            zones=sorted(available_timezones()),
            may_save=self.allows(Permission.SETTINGS_EDIT),
        )
        return html, 422 if posted else 200


def _typed_before(row: BillingSettings) -> dict[str, Any]:
    names = ("offer_percent", "offer_months", "pause_months", "time_zone")
    return {name: getattr(row, name) for name in names} | {
        "offer": row.offer.value,
        "leaving": LATER if row.cancel_at_period_end else AT_ONCE,
    }
