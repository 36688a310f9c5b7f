"""A list of one model's rows: searched, narrowed, sorted, paged, and one of them in detail."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flask import request
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView as FlaskAdminModelView
from flask_admin.model.base import ViewArgs
from sqlalchemy import ColumnElement, Select, func, inspect, literal_column, select
from wtforms import Form

from admin.base.actions import Action, asks_of
from admin.base.columns import Column, Filter, Link, Row
from admin.base.guarded import Guarded
from webapp.accounts.permissions import Permission
from webapp.core.db import Base, db
from webapp.core.errors import NotFound
from webapp.core.numbering import MAX_BIGINT

# A list counts no further: the figure behind it helps nobody, and counting costs.
COUNT_LIMIT = 10_000
PAGE_SIZE = 50


class NoForm(Form):
    """The form of a room where nothing is typed."""


class Listing(Guarded, FlaskAdminModelView):
    """The reading half of a room; ``Room`` adds what changes rows."""

    may_create: ClassVar[Permission | None] = None
    may_edit: ClassVar[Permission | None] = None

    noun: ClassVar[str] = ""
    intro: ClassVar[str] = ""
    empty: ClassVar[str] = "Nothing here yet."
    columns: ClassVar[Sequence[Column]] = ()
    facts: ClassVar[Sequence[Column]] = ()
    filters: ClassVar[Sequence[Filter]] = ()
    search_hint: ClassVar[str] = ""
    newest_first: ClassVar[bool] = True
    # Where no column was chosen, by these and then by the key.
    default_order: ClassVar[Sequence[Any]] = ()
    can_view_details = True
    can_delete = False
    page_size = PAGE_SIZE
    form: type[Form] = NoForm

    def __init__(self, model: type[Base], name: str, *, path: str, group: str, icon: str) -> None:
        self.column_list = [column.name for column in self.columns]
        self.column_default_sort = None
        super().__init__(
            model,
            db,
            name=name,
            category=group,
            endpoint=f"admin_{path.replace('/', '_')}",
            url=path,
            menu_icon_value=icon,
        )
        mapper = inspect(model)
        self.pk = mapper.primary_key[0]
        asked = [asks_of(getattr(type(self), name)) for name in dir(type(self))]
        found = [asks.action for asks in asked if asks is not None and asks.action is not None]
        self.actions = sorted(found, key=lambda spec: spec.order)

    # What Flask-Admin would scaffold from the model is declared in ``columns`` instead.
    def get_list_columns(self) -> list[tuple[str, str]]:
        return [(column.name, column.title) for column in self.columns]

    def get_details_columns(self) -> list[tuple[str, str]]:
        return [(column.name, column.title) for column in self.facts]

    def get_export_columns(self) -> list[tuple[str, str]]:
        return []

    def get_sortable_columns(self) -> dict[str, Any]:
        return {column.name: column.sort for column in self.columns if column.sort is not None}

    def init_search(self) -> bool:
        return bool(self.search_hint)

    def scaffold_auto_joins(self) -> list[Any]:
        return []

    def get_actions_list(self) -> tuple[list[Any], dict[str, Any]]:
        return [], {}

    @property
    def can_create(self) -> bool:
        return self.allows(self.may_create)

    @property
    def can_edit(self) -> bool:
        return self.allows(self.may_edit)

    def statement(self) -> Select[Any]:
        """Return what the list selects, before search, filters and order."""
        return select(self.model)

    def search(self, text: str) -> ColumnElement[bool]:
        """Return the condition for what was typed into the search field."""
        raise NotImplementedError(f"{type(self).__name__} has a search_hint, but no search().")

    def gather(self, _rows: Sequence[Row]) -> Mapping[Any, Mapping[str, Any]]:
        """Return more values per primary key, read for all rows of a page at once."""
        return {}

    def load(self, key: Any) -> Row | None:
        """Return one row with what its detail needs."""
        return db.session.get(self.model, key, populate_existing=True)

    def get_one(self, id: str) -> Row:
        """Return the row of the key in a request. Raises NotFound."""
        key = self._key(id)
        row = None if key is None else self.load(key)
        if row is None:
            raise NotFound("There is nothing here under that number. It may have been removed.")
        return row

    def _key(self, text: str) -> Any:
        """Return what was typed as the table's key is; None if it can't be one."""
        kind = self.pk.type.python_type
        if kind is int:
            number = int(text) if text.isascii() and text.isdigit() else -1
            return number if 0 <= number <= MAX_BIGINT else None
        if kind is uuid.UUID:
            try:
                return uuid.UUID(text)
            except ValueError:
                return None
        return None if "\0" in text else text

    def get_list(
        self,
        page: int | None,
        sort_column: str | None,
        sort_desc: bool,
        search: str | None,
        _filters: Any,
        _execute: bool = True,
        page_size: int | None = None,
    ) -> tuple[int, Sequence[Row]]:
        """Return how many rows there are, counted up to COUNT_LIMIT + 1, and one page of them."""
        found = self._narrowed(search)
        one: Select[Any] = found.with_only_columns(literal_column("1"), maintain_column_froms=True)
        total = db.session.scalar(
            select(func.count()).select_from(one.order_by(None).limit(COUNT_LIMIT + 1).subquery())
        )
        size = page_size or self.page_size
        ordered = found.order_by(*self._ordering(sort_column, sort_desc))
        rows = db.session.scalars(ordered.limit(size).offset((page or 0) * size)).unique().all()
        return total or 0, rows

    def _narrowed(self, search: str | None) -> Select[Any]:
        found = self.statement()
        text = (search or "").replace("\0", "").strip()[:200]
        if text and self._search_supported:
            found = found.where(self.search(text))
        for choice in self.filters:
            if value := choice.chosen():
                found = found.where(choice.condition(value))
        return found

    def _ordering(self, sort_column: str | None, sort_desc: bool) -> list[ColumnElement[Any]]:
        """The key breaks ties, so that no row shows up on two pages."""
        by = self._sortable_columns.get(sort_column)
        if by is None:
            return [*self.default_order, self.pk.desc() if self.newest_first else self.pk]
        return [by.desc(), self.pk.desc()] if sort_desc else [by, self.pk]

    def _get_list_extra_args(self) -> ViewArgs:
        given = super()._get_list_extra_args()
        given.page = min(max(given.page or 0, 0), COUNT_LIMIT // self.page_size)
        known = {choice.name for choice in self.filters}
        given.extra_args = {k: v for k, v in given.extra_args.items() if k in known}
        return given

    def _get_list_url(self, view_args: ViewArgs) -> str:
        """Return the list's address with what was chosen and nothing else."""
        chosen = {"page": view_args.page or None, "search": view_args.search}
        order = {"sort": view_args.sort, "desc": 1 if view_args.sort_desc else None}
        return str(self.get_url(".index_view", **chosen, **order, **view_args.extra_args))

    def render(self, template: str, **kwargs: Any) -> str:
        if template == self.list_template:
            kwargs["gathered"] = self.gather(kwargs["data"])
            kwargs["count_limit"] = COUNT_LIMIT
        html: str = super().render(template, **kwargs)
        return html

    @expose("/details/")
    def details_view(self) -> str:
        row = self.get_one(request.args.get("id", ""))
        html: str = self.render(self.details_template, row=row, **self.detail(row))
        return html

    def detail(self, _row: Row) -> dict[str, Any]:
        """Return what the detail template needs beside the row."""
        return {}

    def links(self) -> list[Link]:
        """Return what the list leads to beside its rows."""
        return []

    def title_of(self, row: Row) -> str:
        return f"{self.noun.capitalize()} {self.get_pk_value(row)}"

    def url_of(self, row: Row) -> str:
        return str(self.get_url(".details_view", id=self.get_pk_value(row)))

    def buttons(self, row: Row) -> list[Action]:
        """Return the actions that make sense for ``row`` and that this person may take."""
        return [
            spec
            for spec in self.actions
            if spec.button and self.allows(spec.permission) and spec.when(row)
        ]

    def bulk_actions(self) -> list[Action]:
        return [spec for spec in self.actions if spec.bulk and self.allows(spec.permission)]
