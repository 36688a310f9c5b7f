"""Views that are asked thousands of times in a second: answered without what they don't use.

Flask calls each hook before and after every view: the session, tokens, limits, who is there. A
light view needs none of that, and goes through those hooks alone that are marked ``for_all``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue

from webapp.core.access import EVERYONE, audience_of

Function = TypeVar("Function", bound=Callable[..., Any])


def light(view: Function) -> Function:
    """Declare that a view open to everyone uses no session, form, template or limit.

    What it changes in the session isn't kept, and nobody counts who asks how often.
    """
    view.light = True  # type: ignore[attr-defined] # a mark on a function
    return view


def for_all(hook: Function) -> Function:
    """Declare that a hook is also for light views."""
    hook.for_all = True  # type: ignore[attr-defined] # a mark on a function
    return hook


class LeanFlask(Flask):
    """Flask, but light views meet only the hooks for all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._light: dict[str, bool] = {}

    def preprocess_request(self) -> ResponseReturnValue | None:
        if not self._is_light():
            return super().preprocess_request()
        for hook in _for_all(self.before_request_funcs.get(None, [])):
            hook()
        return None

    def process_response(self, response: Response) -> Response:
        if not self._is_light():
            return super().process_response(response)
        for hook in reversed(_for_all(self.after_request_funcs.get(None, []))):
            response = hook(response)
        return response

    def do_teardown_request(self, *args: Any, **kwargs: Any) -> None:
        if not self._is_light():
            super().do_teardown_request(*args, **kwargs)

    def _is_light(self) -> bool:
        rule = request.url_rule
        if rule is None:
            return False
        try:
            return self._light[rule.endpoint]
        except KeyError:
            marked = getattr(self.view_functions[rule.endpoint], "light", False)
            is_light = marked and audience_of(self, rule.endpoint) == EVERYONE
            self._light[rule.endpoint] = is_light
            return is_light


def _for_all(hooks: list[Any]) -> list[Any]:
    return [hook for hook in hooks if hasattr(hook, "for_all")]
