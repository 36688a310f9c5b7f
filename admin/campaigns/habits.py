"""The page of how this shop writes to many: approval, consent, tracking, clocks, other sites."""

from typing import Any
from zoneinfo import available_timezones

from flask import flash, redirect, request
from werkzeug import Response
from wtforms import BooleanField, Form, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from admin.base import Page, Refusing, page
from admin.fields import one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.services import newsletter
from webapp.campaigns.services.settings import SettingsDetails, edit_settings, get_settings
from webapp.core.db import db


class HabitsForm(Form):
    approval = BooleanField(
        "A second person approves each mail",
        description="Whoever makes a mail ready can't approve it too.",
    )
    double_opt_in = BooleanField(
        "Ask new subscribers to confirm",
        description="Nobody gets a newsletter before they pressed the button in a first mail.",
    )
    utm = BooleanField(
        "Mark links for other people's statistics",
        description="utm_source, utm_medium and utm_campaign are put into links.",
    )
    archive = BooleanField(
        "Public archive and feed",
        description="Mails that are marked public can be read at /archive once they are sent.",
    )
    time_zone = StringField(
        "Time zone",
        [InputRequired("Like Europe/Berlin."), Length(max=60), one_line],
        description="Mails are scheduled by its clock; so is whoever's own zone isn't known.",
        render_kw={"list": "time-zones", "autocomplete": "off"},
    )
    embed_origins = TextAreaField(
        "Sites that may show the form",
        [Optional(), Length(max=5000)],
        description="One on each line, like https://blog.example.com.",
        render_kw={"rows": 3},
    )


class EmailSettings(Page):
    """The one row of the campaigns' settings, as one page."""

    sections = (
        ("Before a mail leaves", ("approval",)),
        ("Subscribing", ("double_opt_in",)),
        ("What readers see", ("utm", "archive")),
        ("Clock", ("time_zone",)),
        ("Newsletter form on other sites", ("embed_origins",)),
    )

    @page("/", write=Permission.SETTINGS_EDIT)
    def index(self) -> Response | tuple[str, int]:
        posted = request.method == "POST"
        form = HabitsForm(request.form if posted else None, obj=get_settings())
        if posted and form.validate():
            with Refusing({}) as refusal:
                edit_settings(_details(form), actor())
                db.session.commit()
                flash("The settings are saved.", "success")
                return redirect(self.get_url(".index"), 303)
            form.form_errors = [refusal.sentence]
        html = self.render(
            "admin/campaigns/habits.html",
            form=form,
            sections=self.sections,
            zones=sorted(available_timezones()),
            frame=newsletter.embed_snippet(),
            plain_form=newsletter.form_snippet(),
            may_save=self.allows(Permission.SETTINGS_EDIT),
        )
        return html, 422 if posted else 200


def _details(form: Any) -> SettingsDetails:
    return SettingsDetails(
        approval=form.approval.data,
        double_opt_in=form.double_opt_in.data,
        utm=form.utm.data,
        archive=form.archive.data,
        time_zone=form.time_zone.data.strip(),
        embed_origins=form.embed_origins.data or "",
    )
