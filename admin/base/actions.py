"""Buttons that change something and pages of a room, each with the permission it asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import count as counting
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from flask_admin import expose
from werkzeug import Response

from admin.base.columns import Row
from webapp.accounts.permissions import Permission

if TYPE_CHECKING:
    from admin.base.room import Room

View = TypeVar("View", bound=Callable[..., Any])
_order = counting()


@dataclass(frozen=True, slots=True)
class Action:
    """A button that changes something. It is shown where ``when`` holds; the service decides.

    ``verb`` is what the audit says was done ("shipped"); None where the service says it itself.
    A ``grave`` one asks for a credential again, unless one was shown just now. After one that
    leaves its row ``gone`` there is only the list to come back to.
    """

    name: str
    title: str
    permission: Permission
    verb: str | None
    tone: str
    confirm: str | None
    bulk: bool
    button: bool
    grave: bool
    gone: bool
    when: Callable[[Row], bool]
    order: int

    @property
    def endpoint(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class Asks:
    """What a method asks of whoever calls it. ``read`` None: what seeing its room takes.

    ``write`` is asked for a POST, and None is nobody's.
    """

    read: Permission | None
    write: Permission | None
    action: Action | None = None


class _Marked(Protocol):
    asks: Asks


def _mark(method: Callable[..., Any], asks: Asks) -> None:
    cast("_Marked", method).asks = asks


def asks_of(method: object) -> Asks | None:
    """Return what the method asks; None if it was made by neither ``action`` nor ``page``."""
    return getattr(method, "asks", None)


def _always(_row: Row) -> bool:
    return True


def action(
    title: str,
    *,
    permission: Permission,
    verb: str | None,
    tone: str = "secondary",
    confirm: str | None = None,
    bulk: bool = False,
    button: bool = True,
    grave: bool = False,
    gone: bool = False,
    when: Callable[[Row], bool] = _always,
) -> Callable[[View], View]:
    """Make ``method(self, row) -> sentence`` a POST at /<method-name>/ that takes ``id``.

    It is committed when the method returns, together with its row in the audit; its sentence, or
    that of the DomainError it raised, is shown on the next page. ``bulk`` offers it over a list's
    ticked rows as well; without ``button`` a template brings its own form.
    """

    def wrap(method: View) -> View:
        name = method.__name__
        spec = Action(
            name,
            title,
            permission,
            verb,
            tone,
            confirm,
            bulk,
            button,
            grave,
            gone,
            when,
            next(_order),
        )

        @wraps(method)
        def view(self: "Room") -> Response:
            return self.carry_out(spec, method)

        _mark(view, Asks(permission, permission, spec))
        exposed: View = expose(f"/{name.replace('_', '-')}/", methods=("POST",))(view)
        return exposed

    return wrap


def page(
    path: str, *, read: Permission | None = None, write: Permission | None = None
) -> Callable[[View], View]:
    """Make a method a page of its room, for those who may see the room or who have ``read``.

    With ``write`` it also takes POSTs of those who have that.
    """

    def wrap(method: View) -> View:
        _mark(method, Asks(read, write))
        methods = ("GET",) if write is None else ("GET", "POST")
        exposed: View = expose(path, methods=methods)(method)
        return exposed

    return wrap
