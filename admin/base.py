"""How a list, a detail, a form, an action and a permission are made, once for every room."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import count as counting
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

from flask import abort, flash, make_response, redirect, request, url_for
from flask_admin import BaseView as FlaskAdminView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView as FlaskAdminModelView
from flask_admin.model.base import ViewArgs
from flask_login import current_user
from sqlalchemy import ColumnElement, Select, func, inspect, literal_column, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from werkzeug import Response
from wtforms import Form

from admin.attention import count_attention
from webapp.accounts.permissions import Permission, allows
from webapp.accounts.views import same_site
from webapp.core.db import Base, db
from webapp.core.errors import DomainError, NotFound
from webapp.core.shop import get_shop

logger = logging.getLogger(__name__)

# A list counts no further: the figure behind it helps nobody, and counting costs.
COUNT_LIMIT = 10_000
PAGE_SIZE = 50
MAX_BULK = 200
MAX_BIGINT = 2**63 - 1

Row = Any
View = TypeVar("View", bound=Callable[..., Any])
_order = counting()


class Money(NamedTuple):
    """What a cell of kind ``money`` shows."""

    amount: int
    currency: str


class Link(NamedTuple):
    """What a cell of kind ``link`` shows."""

    text: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Column:
    """One fact of a row. ``kind`` picks the macro in templates/admin/cells.html that shows it.

    ``read`` takes the row; without it the attribute ``name`` is read, or what the room's
    ``gather`` found for the whole page under that name.
    """

    name: str
    title: str
    kind: str = "text"
    read: Callable[[Row], Any] | None = None
    sort: Any = None

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "money")

    def value(self, row: Row, gathered: Mapping[str, Any]) -> Any:
        if self.name in gathered:
            return gathered[self.name]
        return self.read(row) if self.read else getattr(row, self.name)


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice above a list: each option's value narrows the list by ``condition(value)``."""

    name: str
    title: str
    options: Sequence[tuple[str, str]]
    condition: Callable[[str], ColumnElement[bool]]

    def chosen(self) -> str:
        value = request.args.get(self.name, "")
        return value if value in dict(self.options) else ""


@dataclass(frozen=True, slots=True)
class Action:
    """A button that changes something. It is shown where ``when`` holds; the service decides."""

    name: str
    title: str
    permission: Permission
    tone: str
    confirm: str | None
    bulk: bool
    button: bool
    when: Callable[[Row], bool]
    order: int

    @property
    def endpoint(self) -> str:
        return f".{self.name}"


def _always(_row: Row) -> bool:
    return True


def action(
    title: str,
    *,
    permission: Permission,
    tone: str = "secondary",
    confirm: str | None = None,
    bulk: bool = False,
    button: bool = True,
    when: Callable[[Row], bool] = _always,
) -> Callable[[View], View]:
    """Make ``method(self, row) -> sentence`` a POST at /<method-name>/ that takes ``id``.

    It is committed when the method returns; its sentence, or that of the DomainError it raised,
    is shown on the next page. ``bulk`` offers it over a list's ticked rows as well; without
    ``button`` a template brings its own form.
    """

    def wrap(method: View) -> View:
        name = method.__name__
        spec = Action(name, title, permission, tone, confirm, bulk, button, when, next(_order))

        @wraps(method)
        def view(self: "Room") -> Response:
            return self.carry_out(spec, method)

        view.action = spec  # type: ignore[attr-defined]
        view.permission = permission  # type: ignore[attr-defined]
        exposed: View = expose(f"/{name.replace('_', '-')}/", methods=("POST",))(view)
        return exposed

    return wrap


def page(path: str, *, write: Permission | None = None) -> Callable[[View], View]:
    """Make a method a page of its room; with ``write`` it also takes POSTs of those who have it."""

    def wrap(method: View) -> View:
        method.permission = Permission.VIEW  # type: ignore[attr-defined]
        method.write = write  # type: ignore[attr-defined]
        methods = ("GET",) if write is None else ("GET", "POST")
        exposed: View = expose(path, methods=methods)(method)
        return exposed

    return wrap


def actor() -> str:
    """Return who acts, as histories and jobs record it."""
    email: str = current_user.email
    return email


def note(verb: str, room: str, key: object) -> None:
    """Leave a line in the log of who changed what; ids only, no personal data."""
    extra = {"verb": verb, "room": room, "row": str(key), "user": str(current_user.id)}
    logger.info("back office change", extra=extra)


class Guarded(FlaskAdminView):
    """A view behind the login, where every method has its permission and none is open."""

    may_see: ClassVar[Permission] = Permission.VIEW
    # Flask-Admin's own methods by the attribute that guards them; others carry ``permission``.
    VERBS: ClassVar[Mapping[str, str]] = {
        "index": "may_see",
        "index_view": "may_see",
        "details_view": "may_see",
        "create_view": "may_create",
        "edit_view": "may_edit",
    }

    def permission_for(self, name: str) -> Permission | None:
        method = getattr(type(self), name)
        if request.method == "POST" and hasattr(method, "write"):
            return cast("Permission | None", method.write)
        guard = self.VERBS.get(name)
        if guard is not None:
            return cast("Permission | None", getattr(self, guard, None))
        return getattr(method, "permission", None)

    def allows(self, permission: Permission | None) -> bool:
        """Say whether whoever asks has ``permission``; None is nobody's."""
        if permission is None or not current_user.is_authenticated:
            return False
        return allows(current_user.role, permission)

    def is_accessible(self) -> bool:
        return self.allows(self.may_see)

    def _handle_view(self, name: str, **_kwargs: Any) -> Response | None:
        if not current_user.is_authenticated:
            seen = request.full_path.rstrip("?") if request.method == "GET" else "/admin/"
            return redirect(url_for("accounts.login", next=seen), 303)
        if not self.allows(self.permission_for(name)):
            abort(403)
        return None

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Response:
        # Flask-Admin calls again with other arguments on any TypeError; that hides mistakes.
        response = make_response(fn(self, *args, **kwargs))
        response.headers["Cache-Control"] = "no-store"
        return response

    def render(self, template: str, **kwargs: Any) -> str:
        attention = count_attention()
        html: str = super().render(
            template,
            shop=get_shop(),
            attention=attention,
            menu=self.menu_groups(attention.by_endpoint()),
            person=current_user,
            **kwargs,
        )
        return html

    def menu_groups(self, counts: Mapping[str, int]) -> list[tuple[str, list[tuple[Any, ...]]]]:
        """Return the menu as the sidebar macro takes it: only the rooms this person may enter."""
        groups: dict[str, list[tuple[Any, ...]]] = {}
        for room in self.admin.rooms:
            if room.is_accessible() and room.is_visible():
                url = url_for(f"{room.endpoint}.{room._default_view}")
                entry = (room.name, url, room is self, room.menu_icon_value)
                here = groups.setdefault(room.category or "", [])
                here.append((*entry, counts.get(room.endpoint, 0)))
        return list(groups.items())


class NoForm(Form):
    """The form of a room where nothing is typed."""


class Room(Guarded, FlaskAdminModelView):
    """A list of one model's rows with search, filters, a detail page, forms and actions.

    A room says what it shows in ``columns`` and ``facts``, who may change it in ``may_*``, and
    overrides ``search``, ``gather`` and ``save`` where the default won't do.
    """

    may_create: ClassVar[Permission | None] = None
    may_edit: ClassVar[Permission | None] = None

    noun: ClassVar[str] = ""
    intro: ClassVar[str] = ""
    columns: ClassVar[Sequence[Column]] = ()
    facts: ClassVar[Sequence[Column]] = ()
    filters: ClassVar[Sequence[Filter]] = ()
    search_hint: ClassVar[str] = ""
    newest_first: ClassVar[bool] = True
    # Constraint -> what to tell whoever ran into it.
    clashes: ClassVar[Mapping[str, str]] = {}
    # Titles of groups of fields; without them a form is one group.
    sections: ClassVar[Sequence[tuple[str, Sequence[str]]]] = ()

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
        self.actions = sorted(
            (found.action for found in self._exposed() if hasattr(found, "action")),
            key=lambda spec: spec.order,
        )

    def _exposed(self) -> list[Any]:
        return [getattr(type(self), name) for name in dir(type(self))]

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

    def is_action_allowed(self, name: str) -> bool:  # noqa: ARG002
        return False

    @property
    def can_create(self) -> bool:
        return self.allows(self.may_create)

    @property
    def can_edit(self) -> bool:
        return self.allows(self.may_edit)

    # Reading

    def statement(self) -> Select[Any]:
        """Return what the list selects, before search, filters and order."""
        return select(self.model)

    def search(self, text: str) -> ColumnElement[bool]:
        """Return the condition for what was typed into the search field."""
        raise NotImplementedError

    def gather(self, rows: Sequence[Row]) -> Mapping[Any, Mapping[str, Any]]:  # noqa: ARG002
        """Return more values per primary key, read for all rows of a page at once."""
        return {}

    def load(self, key: Any) -> Row | None:
        """Return one row with what its detail needs."""
        return db.session.get(self.model, key, populate_existing=True)

    def get_one(self, id: str) -> Row:
        """Return the row of the key in a request. Raises NotFound."""
        key: Any = id
        if self.pk.type.python_type is int:
            key = int(id) if id.isascii() and id.isdigit() else -1
            key = key if key <= MAX_BIGINT else -1
        row = None if "\0" in str(key) else self.load(key)
        if row is None:
            raise NotFound("There is nothing here under that number. It may have been removed.")
        return row

    def get_list(
        self,
        page: int | None,
        sort_column: str | None,
        sort_desc: bool,
        search: str | None,
        filters: Any,  # noqa: ARG002
        execute: bool = True,  # noqa: ARG002
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
            return [self.pk.desc() if self.newest_first else self.pk]
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

    def detail(self, row: Row) -> dict[str, Any]:  # noqa: ARG002
        """Return what the detail template needs beside the row."""
        return {}

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

    # Writing

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Response | tuple[str, int]:
        return self._form_page(None)

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> Response | tuple[str, int]:
        return self._form_page(self.get_one(request.args.get("id", "")))

    def _form_page(self, row: Row | None) -> Response | tuple[str, int]:
        form = self.create_form() if row is None else self.edit_form(obj=row)
        key = None if row is None else self.get_pk_value(row)
        posted = request.method == "POST"
        if posted and form.validate():
            saved = self._saved(form, row)
            if saved is not None:
                done = "added" if key is None else "saved"
                flash(f"{self.title_of(saved)} is {done}.", "success")
                return redirect(self.url_of(saved), 303)
        template = self.create_template if key is None else self.edit_template
        html = self.render(template, form=form, row=None if key is None else self.get_one(str(key)))
        return html, 422 if posted else 200

    def _saved(self, form: Form, row: Row | None) -> Row | None:
        with self.refusing() as refusal:
            saved = self.save(form, row)
            db.session.commit()
            note("create" if row is None else "edit", self.endpoint, self.get_pk_value(saved))
            return saved
        form.form_errors = [refusal.sentence]
        return None

    def save(self, form: Form, row: Row | None) -> Row:
        """Write the form into ``row``, or into a new one, and flush."""
        if row is None:
            row = self.model()
            db.session.add(row)
        form.populate_obj(row)
        db.session.flush()
        return row

    def refusing(self) -> "Refusing":
        """Return a context that takes a refusal for an answer: roll back, keep the sentence."""
        return Refusing(self.clashes)

    def carry_out(self, spec: Action, method: Callable[..., str]) -> Response:
        """Take the action for each posted id, each in its own transaction, and say how it went."""
        ids = request.form.getlist("id")[:MAX_BULK]
        done: list[str] = []
        refused: list[str] = []
        for key in ids:
            with self.refusing() as refusal:
                sentence = method(self, self.get_one(key))
                db.session.commit()
                note(spec.name, self.endpoint, key)
                done.append(sentence)
            if refusal.sentence:
                refused.append(refusal.sentence)
        self._report(spec, done, refused)
        target = same_site(request.form.get("back"))
        if target is None and len(ids) == 1:
            target = self.get_url(".details_view", id=ids[0])
        return redirect(target or self.get_url(".index_view"), 303)

    def _report(self, spec: Action, done: list[str], refused: list[str]) -> None:
        if not done and not refused:
            flash("Tick at least one row first.", "warning")
        if len(done) > 1:
            flash(f"{spec.title}: {len(done)} done.", "success")
        elif done:
            flash(done[0], "success")
        for sentence in refused[:5]:
            flash(sentence, "error")
        if len(refused) > 5:
            flash(f"{len(refused) - 5} more were refused for such reasons.", "error")

    # Flask-Admin's other ways in: none has a permission, so none is open.
    def create_model(self, form: Form) -> Row:
        raise NotImplementedError

    def update_model(self, form: Form, model: Row) -> bool:
        raise NotImplementedError

    def delete_model(self, model: Row) -> bool:
        raise NotImplementedError


class Refusing:
    """Within it a DomainError or a broken constraint becomes a sentence, not an error page."""

    def __init__(self, clashes: Mapping[str, str]) -> None:
        self.clashes = clashes
        self.sentence = ""

    def __enter__(self) -> "Refusing":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, DomainError):
            self.sentence = error.sentence
        elif isinstance(error, IntegrityError):
            self.sentence = self.clashes.get(
                _constraint(error), "That clashes with what is there already; nothing was changed."
            )
            logger.warning("back office clash", extra={"constraint": _constraint(error)})
        else:
            return False
        db.session.rollback()
        return True


def _constraint(error: DBAPIError) -> str:
    diagnosis = getattr(error.orig, "diag", None)
    return str(getattr(diagnosis, "constraint_name", "") or "")
