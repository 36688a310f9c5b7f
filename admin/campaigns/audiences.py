"""The room of audiences: whom mails go to, as rules that are put together and counted live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import redirect, render_template, request, url_for
from sqlalchemy import ColumnElement, func, or_, select, union_all
from werkzeug import Response
from wtforms import Form, StringField
from wtforms.validators import InputRequired, Length

from admin.base import Column, Room, action, page
from admin.campaigns import rule_form, sizes
from admin.campaigns.rule_choices import asks, known_things, picks
from admin.fields import one_line
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.models import Audience, Email, EmailState, EmailType
from webapp.campaigns.services import audiences
from webapp.campaigns.services.audiences.rules import MAX_DEPTH
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.shop import get_shop
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import TOPICS

EDIT = Permission.CAMPAIGNS_EDIT
SHOWN = 50
SAMPLE = 5
TYPES = [
    (EmailType.BOTH.value, "everybody"),
    (EmailType.MEMBER.value, "members"),
    (EmailType.PROSPECT.value, "prospects"),
]


class AudienceForm(Form):
    name = StringField(
        "Name",
        [InputRequired("Name it."), Length(max=120), one_line],
        description="For the people who work here, like “Bought twice, quiet since spring”.",
    )


@dataclass(frozen=True, slots=True)
class Use:
    """One mail that an audience is chosen in."""

    name: str
    url: str
    state: EmailState
    as_what: str


class Audiences(Room):
    """Saved rules over what people bought, subscribe to, opened, said and are."""

    noun = "audience"
    empty = "None yet. Without an audience a mail goes to everybody who wants it."
    may_create = EDIT
    may_edit = EDIT
    added = changed = None  # the service records it
    form = AudienceForm
    intro = "Who belongs to an audience is asked anew for each mail, as soon as that is made ready."
    search_hint = "Name"
    clashes: ClassVar[dict[str, str]] = {
        "uq_audience_name": "There is an audience of that name already.",
        "fk_email_audience_id_audience": "A mail goes to it, so it has to stay.",
        "fk_email_exclude_id_audience": "A mail leaves it out, so it has to stay.",
    }
    columns = (
        Column("name", "Name", sort=Audience.name),
        Column("words", "Who", "short"),
        Column("people", "People", "number"),
        Column("wanted", "Want the newsletter", "number"),
        Column("mails", "Mails", "number"),
        Column("updated_at", "Changed", "moment", sort=Audience.updated_at),
    )
    create_template = "admin/campaigns/audience_form.html"
    edit_template = "admin/campaigns/audience_form.html"
    details_template = "admin/campaigns/audience.html"

    def search(self, text: str) -> ColumnElement[bool]:
        return Audience.name.icontains(text, autoescape=True)

    def gather(self, rows: Sequence[Audience]) -> Mapping[Any, Mapping[str, Any]]:
        ids = [row.id for row in rows]
        used = union_all(
            select(Email.audience_id.label("id")).where(Email.audience_id.in_(ids)),
            select(Email.exclude_id.label("id")).where(Email.exclude_id.in_(ids)),
        ).subquery()
        counted = select(used.c.id, func.count()).group_by(used.c.id)
        mails: dict[int, int] = dict(db.session.execute(counted).all())
        found = sizes.known_of(rows)
        return {row.id: _shown(mails.get(row.id, 0), found.get(row.id)) for row in rows}

    def title_of(self, row: Audience) -> str:
        return row.name

    def detail(self, row: Audience) -> dict[str, Any]:
        found: dict[str, Any] = {"topic_title": "the newsletter", "mails": uses_of(row.id)}
        try:
            known = sizes.look_at(row)
        except sizes.TooLong as error:
            words = audiences.describe(audiences.read_rules(row.rules))
            return found | {"said": words, "size": None, "problem": error.sentence}
        return found | {"said": known.words, "size": known.size, "problem": ""}

    # Writing

    def _form_page(self, row: Audience | None) -> Response | tuple[str, int]:
        if request.method == "POST" and "do" in request.form:
            form = self.create_form() if row is None else self.edit_form(row)
            return self.render(self.edit_template, form=form, row=row), 200
        return super()._form_page(row)

    def edit_form(self, obj: Audience) -> Form:
        return AudienceForm(request.form or None, obj=obj)

    def render(self, template: str, **kwargs: Any) -> str:
        if template == self.edit_template:
            tree = _tree_of(kwargs.get("row"))
            kwargs |= _editor(tree) | self._counted(tree)
        html: str = super().render(template, **kwargs)
        return html

    def save(self, form: Any, row: Audience | None) -> Audience:
        rules = rule_form.rules_of(rule_form.typed(request.form), get_shop().currency)
        if row is None:
            return audiences.create_audience(form.name.data, rules, actor())
        return audiences.edit_audience(row.id, form.name.data, rules, actor())

    @action(
        "Delete",
        permission=EDIT,
        verb=None,
        tone="danger",
        confirm="Delete this audience?",
        gone=True,
        when=lambda row: not uses_of(row.id),
    )
    def remove(self, row: Audience) -> str:
        name = row.name
        audiences.delete_audience(row.id, actor())
        return f"{name} is deleted."

    # What the form asks while somebody types

    @page("/shape/", read=EDIT, write=EDIT)
    def shape(self) -> Any:
        """Return the rows after a button was pressed or another question chosen."""
        if request.method != "POST":
            return redirect(self.get_url(".create_view"), 303)
        editor = _editor(_tree_of(None))
        return render_template("admin/campaigns/rules_part.html", shop=get_shop(), **editor)

    @page("/count/", read=EDIT, write=EDIT)
    def count(self) -> Any:
        """Return how many the rules take in as they are typed now."""
        if request.method != "POST":
            return redirect(self.get_url(".create_view"), 303)
        found = self._counted(rule_form.typed(request.form))
        return render_template("admin/campaigns/size.html", **found)

    def _counted(self, tree: rule_form.Branch) -> dict[str, Any]:
        """Count, and name a few to those who may look at people."""
        type_, topic = _chosen(EmailType, "type"), _chosen(MailTopic, "topic")
        type_, topic = type_ or EmailType.BOTH, topic or MailTopic.NEWSLETTER
        title = next(each.title for each in TOPICS if each.topic is topic).lower()
        found: dict[str, Any] = {
            "size": None,
            "sample": [],
            "problem": "",
            "words": "",
            "type": type_.value,
            "topic": topic.value,
            "topic_title": f"the {title}",
        }
        try:
            rules = audiences.read_rules(rule_form.rules_of(tree, get_shop().currency))
            found["words"] = audiences.describe(rules)
            found["size"] = sizes.count(type_, topic, rules)
            if self.allows(Permission.MEMBERS_VIEW):
                found["sample"] = audiences.sample_people(type_, topic, rules, limit=SAMPLE)
        except DomainError as error:
            found["problem"] = error.sentence
        return found


def uses_of(audience_id: int) -> list[Use]:
    """Return the newest mails that go to the audience or leave it out."""
    found = db.session.execute(
        select(Email.id, Email.name, Email.state, Email.audience_id)
        .where(or_(Email.audience_id == audience_id, Email.exclude_id == audience_id))
        .order_by(Email.id.desc())
        .limit(SHOWN)
    )
    return [
        Use(
            name,
            url_for("admin_emails.details_view", id=key),
            state,
            "goes to it" if chosen == audience_id else "leaves it out",
        )
        for key, name, state, chosen in found
    ]


def _shown(mails: int, known: sizes.Known | None) -> dict[str, Any]:
    size = known.size if known else None
    return {
        "words": known.words if known else None,
        "people": f"{size.total:,}" if size else None,
        "wanted": f"{size.wanted:,}" if size else None,
        "mails": mails,
    }


def _chosen(kind: Any, name: str) -> Any:
    text = request.form.get(name, "")
    return kind(text) if text in set(kind) else None


def _tree_of(row: Audience | None) -> rule_form.Branch:
    """Return the rows as they were typed and pressed, or as they are saved."""
    if request.method == "POST":
        tree = rule_form.typed(request.form)
        rule_form.press(tree, request.form.get("do", ""))
        return tree
    if row is None:
        return rule_form.Branch(parts=[rule_form.Row()])
    return rule_form.shown(audiences.read_rules(row.rules), get_shop().currency)


def _editor(tree: rule_form.Branch) -> dict[str, Any]:
    return {
        "tree": tree,
        "asks": asks(),
        "picks": picks(),
        "known": known_things(),
        "deepest": MAX_DEPTH - 1,
        "topics": [(each.topic.value, each.title.lower()) for each in TOPICS],
        "types": TYPES,
    }
