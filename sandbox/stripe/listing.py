"""Lists with cursors and filters, the same for every resource."""

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.routing import Call
from sandbox.stripe.store import Json, Row, Window

_COMPARE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
CURSORS = ("limit", "starting_after", "ending_before")


def window(params: Json) -> Window:
    limit = params.get("limit", 10)
    if limit < 1:
        raise errors.invalid(
            "This value must be greater than or equal to 1.", "limit", "parameter_invalid_integer"
        )
    if limit > 100:
        raise errors.invalid(
            f"This value must be less than or equal to 100 (it currently is '{limit}').",
            "limit",
            "parameter_invalid_integer",
        )
    if params.get("starting_after") and params.get("ending_before"):
        raise errors.invalid(
            "You can only specify one of these parameters: starting_after, ending_before.",
            "ending_before",
        )
    return Window(limit, params.get("starting_after"), params.get("ending_before"))


def listed(
    call: Call,
    kind: str,
    url: str,
    equal: Iterable[str] = (),
    where: Iterable[str] = (),
    values: Iterable[object] = (),
    show: Callable[[Row], Json] | None = None,
) -> Json:
    """A page of a kind; `equal` names parameters that must equal the property of that name."""
    clauses, arguments = list(where), list(values)
    for name in equal:
        if call.params.get(name) is not None:
            clauses.append(f"json_extract(body, '$.{name}') = ?")
            arguments.append(_sql(call.params[name]))
    for name, value in _created(call.params.get("created")):
        clauses.append(f"created {name} ?")
        arguments.append(value)
    page = window(call.params)
    try:
        rows, more = call.world.machine.store.page(
            call.world.account, kind, page, clauses, arguments
        )
    except LookupError as error:
        cursor = "starting_after" if page.after == error.args[0] else "ending_before"
        raise errors.missing(kind, str(error.args[0]), cursor, 400) from None
    return {
        "object": "list",
        "data": [show(row) if show else row.body for row in rows],
        "has_more": more,
        "url": url,
    }


def _sql(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _created(wanted: Any) -> list[tuple[str, int]]:
    if wanted is None:
        return []
    if isinstance(wanted, dict):
        return [(_COMPARE[name], value) for name, value in wanted.items()]
    return [("=", wanted)]


def sublist(items: list[Json], url: str, params: Json, kind: str) -> Json:
    """A page of objects kept inside another, such as line items: oldest first."""
    page = window(params)
    ids = [item["id"] for item in items]
    start, stop = 0, len(items)
    for cursor, name in ((page.after, "starting_after"), (page.before, "ending_before")):
        if cursor and cursor not in ids:
            raise errors.missing(kind, cursor, name, 400)
    if page.after:
        start = ids.index(page.after) + 1
    if page.before:
        stop = ids.index(page.before)
        start = max(0, stop - page.limit)
    chosen = items[start : min(stop, start + page.limit)]
    more = start > 0 if page.before else start + page.limit < len(items)
    return {"object": "list", "data": chosen, "has_more": more, "url": url}
