"""Rows' numbers in addresses."""

from typing import Any

from werkzeug.routing import IntegerConverter, Map

MAX_BIGINT = 2**63 - 1


class RowNumber(IntegerConverter):
    """``<int:...>`` in a route: what Postgres has no number for leads nowhere, so it is a 404."""

    def __init__(self, map: Map, *args: Any, **limits: Any) -> None:
        super().__init__(map, *args, **{"max": MAX_BIGINT, **limits})
