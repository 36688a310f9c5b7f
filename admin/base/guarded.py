"""A view behind the login whose every method asks for a permission, with the menu around it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from flask import abort, make_response, redirect, request, url_for
from flask_admin import BaseView as FlaskAdminView
from flask_login import current_user
from werkzeug import Response

from admin.attention import count_attention
from admin.base.actions import asks_of
from webapp.accounts.permissions import Permission, allows
from webapp.accounts.services.sessions import is_proven
from webapp.core.access import NOBODY
from webapp.core.shop import get_shop


class Guarded(FlaskAdminView):
    """A view behind the login, where every method has its permission and none is open."""

    may_see: ClassVar[Permission] = Permission.VIEW
    # Flask-Admin's own methods by the attribute that guards them; others say what they ask.
    VERBS: ClassVar[Mapping[str, str]] = {
        "index": "may_see",
        "index_view": "may_see",
        "details_view": "may_see",
        "create_view": "may_create",
        "edit_view": "may_edit",
    }

    def audience(self, name: str) -> str:
        """Return who may call the method at all, as routes declare it."""
        method = getattr(type(self), name, None)
        return (self.reading(name) if method is not None else None) or NOBODY

    def permission_for(self, name: str) -> Permission | None:
        asks = asks_of(getattr(type(self), name))
        if asks is not None and request.method == "POST":
            return asks.write
        return self.reading(name)

    def reading(self, name: str) -> Permission | None:
        """Return what the method asks of whoever only looks."""
        guard = self.VERBS.get(name)
        if guard is not None:
            return cast("Permission | None", getattr(self, guard, None))
        asks = asks_of(getattr(type(self), name))
        return None if asks is None else asks.read or self.may_see

    def allows(self, permission: Permission | None) -> bool:
        """Say whether whoever asks has ``permission``; None is nobody's."""
        if permission is None or not current_user.is_authenticated:
            return False
        return allows(current_user.role, permission)

    def is_accessible(self) -> bool:
        return self.allows(self.may_see)

    def proof_first(self, back: str) -> Response | None:
        """Return the way to where a credential is shown again, unless that was just now."""
        if is_proven(current_user.login):
            return None
        return redirect(url_for("accounts.prove", next=back), 303)

    def _handle_view(self, name: str, **_kwargs: Any) -> Response | None:
        # The guard has asked for the login and for what reading takes; here a POST is looked at.
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


class Page(Guarded):
    """A room that is one page at ``/admin/<path>/``, not the rows of a table."""

    def __init__(self, name: str, *, path: str, group: str, icon: str) -> None:
        endpoint = f"admin_{path}"
        super().__init__(name, category=group, endpoint=endpoint, url=path, menu_icon_value=icon)
