"""The room of results: what came of each mail, link by link, and down to the orders it made."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import load_only
from werkzeug import Response

from admin.base import Column, Filter, Link, Money, Room, page
from admin.campaigns import link_map
from admin.campaigns.comparing import MOST, compared
from admin.campaigns.outcomes import Outcome, each_in_words, outcomes_of, percent
from admin.campaigns.progress import GONE_OUT
from admin.campaigns.report import links_of, report_of
from webapp.accounts.permissions import Permission
from webapp.campaigns.models import Email, EmailState, EmailVariant
from webapp.core.db import db
from webapp.core.errors import NotFound
from webapp.core.shop import get_shop

CHOOSABLE = 60


class Results(Room):
    """Mails that went out, with what came back."""

    noun = "result"
    empty = "No mail went out yet. The figures of one begin as soon as it does."
    intro = (
        "Opened and clicked are people; what mail programs and scanners did by themselves is"
        " counted apart. Orders are those within five days of a click."
    )
    search_hint = "Name or subject"
    columns = (
        Column("name", "Mail", sort=Email.name),
        Column("state", "State", "pill", sort=Email.state),
        Column("started_at", "Began", "moment", sort=Email.started_at),
        Column("delivered", "Delivered", "number"),
        Column("opened", "Opened", "number"),
        Column("clicked", "Clicked", "number"),
        Column("orders", "Orders", "number"),
        Column("revenue", "Revenue", "money"),
        Column("each", "Per recipient", "number"),
        Column("left", "Left", "number"),
        Column("bounced", "Bounced", "number"),
        Column("complained", "Complained", "number"),
    )
    filters = (
        Filter(
            "state",
            "State",
            [(state.value, state.value.capitalize()) for state in GONE_OUT],
            lambda value: Email.state == EmailState(value),
        ),
    )
    page_size = 25
    list_template = "admin/campaigns/results.html"
    details_template = "admin/campaigns/result.html"

    def statement(self) -> Select[Any]:
        shown = (
            Email.id,
            Email.name,
            Email.state,
            Email.started_at,
            Email.finished_at,
            Email.population,
            Email.ab_winner,
        )
        return (
            select(Email)
            .where(Email.state.in_(GONE_OUT))
            .options(load_only(*shown, raiseload=True))
        )

    def search(self, text: str) -> ColumnElement[bool]:
        says = EmailVariant.subject.icontains(text, autoescape=True)
        return or_(Email.name.icontains(text, autoescape=True), Email.variants.any(says))

    def gather(self, rows: Sequence[Email]) -> Mapping[Any, Mapping[str, Any]]:
        found, currency = outcomes_of(rows), get_shop().currency
        return {key: _shown(outcome, currency) for key, outcome in found.items()}

    def load(self, key: Any) -> Email | None:
        found = select(Email).where(Email.id == key, Email.state.in_(GONE_OUT))
        email: Email | None = db.session.scalar(found)
        return email

    def title_of(self, row: Email) -> str:
        return row.name

    def subject_of(self, row: Email) -> str:
        return f"email:{row.id}"

    def links(self) -> list[Link]:
        return [Link("Compare mails", self.get_url(".compare"))]

    def detail(self, row: Email) -> dict[str, Any]:
        outcome, currency = outcomes_of([row])[row.id], get_shop().currency
        words = db.session.get(EmailVariant, (row.id, _variant(row)))
        return {
            "outcome": outcome,
            "report": report_of(row, _variant(row)),
            "tall": link_map.height_of(words.html, words.text) if words else None,
            "currency": currency,
            "each": each_in_words(outcome, currency),
            "variant": _variant(row),
            "percent": percent,
            "may_see_people": self.allows(Permission.MEMBERS_VIEW),
        }

    @page("/compare/")
    def compare(self) -> str:
        """Put up to five mails beside each other."""
        newest = self.statement().order_by(Email.id.desc()).limit(CHOOSABLE)
        choices = db.session.scalars(newest).all()
        asked = {int(text): None for text in request.args.getlist("id") if _is_key(text)}
        wanted = list(asked)[:MOST]
        chosen = self.statement().where(Email.id.in_(wanted)).order_by(Email.id)
        emails = db.session.scalars(chosen).all()
        html: str = self.render(
            "admin/campaigns/compare.html",
            choices=choices,
            emails=emails,
            most=MOST,
            left_out=len(asked) - len(wanted),
            lines=compared(emails, outcomes_of(emails), get_shop().currency),
        )
        return html

    @page("/map/")
    def map(self) -> Response:
        """Answer with the mail's own document, its links numbered by what was clicked."""
        row = self.get_one(request.args.get("id", ""))
        variant = db.session.get(EmailVariant, (row.id, _variant(row)))
        if variant is None or not variant.html:
            raise NotFound("This mail has no words to draw on.")
        clicked = {each.number: each.clicked for each in links_of(row.id)}
        return link_map.answer(link_map.draw(variant.html, clicked))


def _shown(outcome: Outcome, currency: str) -> dict[str, Any]:
    return {
        "delivered": f"{outcome.delivered:,}",
        "opened": percent(outcome.opened, outcome.delivered),
        "clicked": percent(outcome.clicked, outcome.delivered),
        "left": percent(outcome.left, outcome.delivered),
        "bounced": percent(outcome.bounced, outcome.sent),
        "complained": percent(outcome.complained, outcome.delivered),
        "orders": f"{outcome.orders:,}",
        "revenue": Money(outcome.revenue, currency),
        "each": each_in_words(outcome, currency),
    }


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _variant(email: Email) -> int:
    """Return the version that is looked at: the one asked for, else the better or the first."""
    text = request.args.get("variant", "")
    if text.isascii() and text.isdigit() and len(text) == 1 and text != "0":
        return int(text)
    return email.ab_winner or 1
