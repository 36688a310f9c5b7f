"""The page where people are brought in from another system, with the proof that they agreed."""

from typing import Any

from flask import flash, redirect, request
from flask_login import current_user
from wtforms import BooleanField, Form, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from admin import staging
from admin.base import Page, Refusing, page
from admin.fields import WordsField, one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.services.importing import ImportChoices, ImportReport, import_prospects
from webapp.campaigns.services.importing.importing import EVERY_COLUMN, LONGEST_SOURCE
from webapp.campaigns.services.tags import list_tags
from webapp.core.db import db
from webapp.core.errors import Forbidden
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import TOPICS

EDIT = Permission.CAMPAIGNS_EDIT
TAGS_SHOWN = 30


class ImportForm(Form):
    source = StringField(
        "Where and when they agreed",
        [InputRequired("Say how they agreed."), Length(max=LONGEST_SOURCE), one_line],
        description=(
            "Like “Mailchimp list Spring fair, signed up on its page until May 2026”. It is kept"
            " with each of them, as the proof that they may be written to."
        ),
    )
    topic = SelectField(
        "What they agreed to",
        [InputRequired()],
        choices=[SelectChoice(each.topic.value, each.title) for each in TOPICS],
    )
    tags = WordsField("Tags for all of them", description="With commas, like: fair 2026, wholesale")
    keep_all = BooleanField(
        "Keep the other columns, for mails to use as variables",
        description="A column “Favourite colour” becomes {{ favourite_colour }}.",
    )

    @property
    def asked(self) -> ImportChoices:
        return ImportChoices(
            source=self.source.data or "",
            topic=MailTopic(self.topic.data),
            keep=(EVERY_COLUMN,) if self.keep_all.data else (),
            tags=tuple(self.tags.data or ()),
        )

    @property
    def said(self) -> dict[str, str]:
        """What the second press says once more about the file."""
        said = {"source": self.source.data or "", "topic": self.topic.data}
        said["tags"] = ", ".join(self.tags.data or ())
        return said | ({"keep_all": "y"} if self.keep_all.data else {})


class Imports(Page):
    """A file is looked at first; what it would do is done by a second press."""

    may_see = EDIT

    @page("/", write=EDIT)
    def index(self) -> Any:
        if not self.allows(Permission.MEMBERS_VIEW):
            raise Forbidden("Who imports people has to be somebody who may look at them.")
        if request.method != "POST":
            return self._page(ImportForm())
        form = ImportForm(request.form)
        if not form.validate():
            return self._page(form), 422
        with Refusing({}) as refusal:
            return self._apply(form) if request.form.get("token") else self._look(form)
        return self._page(form, problem=refusal.sentence), 422

    def _page(self, form: ImportForm, **found: Any) -> str:
        tags = [tag for tag, _ in list_tags(TAGS_SHOWN)]
        html: str = self.render("admin/campaigns/import.html", form=form, tags=tags, **found)
        return html

    def _look(self, form: ImportForm) -> Any:
        content = staging.read_upload(request.files.get("file"))
        report = import_prospects(content, form.asked, actor(), dry_run=True)
        db.session.rollback()
        if report.problems:
            return self._page(form, report=report, token=None), 422
        return self._page(form, report=report, token=staging.keep(content, current_user.id))

    def _apply(self, form: ImportForm) -> Any:
        token = request.form["token"]
        content = staging.fetch(token, current_user.id)
        report = import_prospects(content, form.asked, actor(), dry_run=False)
        db.session.commit()
        if not report.applied:
            return self._page(form, report=report, token=None), 422
        staging.drop(token, current_user.id)
        flash(_done(report), "success")
        return redirect(self.get_url("admin_prospects.index_view", source="import"), 303)


def _done(report: ImportReport) -> str:
    people = "person" if report.created == 1 else "people"
    return (
        f"Imported: {report.created:,} new {people}, {report.changed:,} known with more details,"
        f" {report.agreed:,} who agreed to be written to."
    )
