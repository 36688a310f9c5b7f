"""The sandbox as one sees it from outside: its clock, its dashboard, and all it knows, raw."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

Json = dict[str, Any]
TIMEOUT = 300


@dataclass(slots=True)
class Stripe:
    """Plain HTTP and plain JSON, so that nothing is read as the shop reads it."""

    url: str
    key: str
    session: requests.Session = field(default_factory=requests.Session)

    def control(self, path: str, **body: Any) -> Json:
        answer = self.session.post(f"{self.url}/_sandbox/{path}", json=body, timeout=TIMEOUT)
        return self._read(answer)

    def move(self, moment: datetime) -> None:
        """Set the clock; what falls due on the way happens, each thing at its own moment."""
        self.control("clock", now=moment.timestamp())

    def is_idle(self) -> bool:
        """Whether no webhook is on its way."""
        return bool(self.control("deliveries/wait", timeout=0.05)["idle"])

    def list_undelivered(self) -> set[str]:
        """Of the newest events those that the endpoint has not said it has."""
        answer = self.session.get(f"{self.url}/_sandbox/deliveries", timeout=TIMEOUT)
        return {row["event"] for row in self._read(answer)["data"] if row["state"] != "delivered"}

    def get(self, path: str, **params: Any) -> Json:
        answer = self.session.get(
            f"{self.url}/v1/{path}", params=params, auth=(self.key, ""), timeout=TIMEOUT
        )
        return self._read(answer)

    def post(self, path: str, **params: Any) -> Json:
        answer = self.session.post(
            f"{self.url}/v1/{path}", data=params, auth=(self.key, ""), timeout=TIMEOUT
        )
        return self._read(answer)

    def delete(self, path: str) -> Json:
        answer = self.session.delete(f"{self.url}/v1/{path}", auth=(self.key, ""), timeout=TIMEOUT)
        return self._read(answer)

    def all(self, path: str, **params: Any) -> Iterator[Json]:
        """Every object of a list, newest first."""
        after: Json = {}
        while True:
            page = self.get(path, limit=100, **params, **after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    def _read(self, answer: requests.Response) -> Json:
        found: Json = answer.json() if answer.content else {}
        if not answer.ok:
            raise StripeSaysNo(f"{answer.request.method} {answer.url}: {found}")
        return found


def id_of(value: Any) -> Any:
    """The id of what is shown by its id, or expanded."""
    return value["id"] if isinstance(value, dict) else value


class StripeSaysNo(Exception):
    """A request that the sandbox refused."""
