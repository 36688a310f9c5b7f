"""Stripe's error bodies, in Stripe's own words (https://docs.stripe.com/api/errors)."""

from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

_DOC = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer other than 200; `keep` commits what was written before it (a declined charge)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        keep: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.keep = keep
        self.extra = extra

    def body(self, request_id: str) -> Json:
        error: Json = {}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = _DOC + self.code.replace("_", "-")
        error["message"] = self.message
        if self.param:
            error["param"] = self.param
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        error["type"] = self.type
        error.update(self.extra)
        return {"error": error}


class InvalidParams(ApiError):
    """Refused before the endpoint began, so an idempotency key does not remember it."""


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=param)


def only_one(*names: str) -> ApiError:
    """The refusal of parameters that exclude each other."""
    return invalid(f"You may only specify one of these parameters: {', '.join(names)}.", names[0])


def check_url(url: str | None, param: str) -> None:
    """Raise ApiError for an address that a browser could not follow."""
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid("Not a valid URL", param, "url_invalid")


def missing(kind: str, id: str, param: str = "id", status: int = 404) -> ApiError:
    """`No such ...`; Stripe answers 404 for the object in the path, 400 for one named in params."""
    noun = {"item": "line_item"}.get(kind, kind.replace(".", " ") if "." in kind else kind)
    noun = "checkout.session" if kind == "checkout.session" else noun
    return ApiError(status, f"No such {noun}: '{id}'", code="resource_missing", param=param)


def unknown_route(method: str, path: str) -> ApiError:
    return ApiError(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we "
        "can help at https://support.stripe.com/.",
    )


def no_key() -> ApiError:
    return ApiError(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization "
        "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
        "https://stripe.com/docs/api#authentication for details, or we can help at "
        "https://support.stripe.com/.",
    )


def bad_key(key: str) -> ApiError:
    stars = key[:8] + "*" * max(len(key) - 12, 0) + key[-4:] if len(key) > 12 else "*" * len(key)
    return ApiError(401, f"Invalid API Key provided: {stars}")


def unsupported(params: Json, names: tuple[str, ...]) -> None:
    """Say out loud what the sandbox cannot do, rather than accept and ignore it."""
    for name in names:
        if params.get(name):
            raise invalid(f"The sandbox does not support `{name}` yet.", name)
