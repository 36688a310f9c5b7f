"""A visitor without JavaScript: follows links and fills in forms as they stand in the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import requests
from selectolax.lexbor import LexborHTMLParser, LexborNode


class NotThereError(Exception):
    """The page lacks what a visitor would look for."""


# Of two hundred who ask a small machine at once, the last one waits for all others.
PATIENCE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Form:
    """A form as a browser would send it: its fields with the values they stand at."""

    action: str
    method: str
    fields: dict[str, str]
    offered: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Page:
    """One answer, parsed."""

    url: str
    status: int
    html: LexborHTMLParser

    @property
    def text(self) -> str:
        body = self.html.body
        return " ".join(body.text(separator=" ").split()) if body else ""

    @property
    def heading(self) -> str:
        found = self.html.css_first("h1")
        return " ".join(found.text().split()) if found else ""

    def links(self, part: str) -> list[str]:
        """Absolute addresses that contain `part`, each once, in the page's order."""
        found = (node.attributes.get("href") or "" for node in self.html.css("a[href]"))
        return list(dict.fromkeys(urljoin(self.url, link) for link in found if part in link))

    def form(self, action: str) -> Form:
        """The form whose address ends with `action`; NotThereError if there is none."""
        for node in self.html.css("form"):
            address = urljoin(self.url, node.attributes.get("action") or "")
            if address.split("?")[0].endswith(action):
                return read_form(node, address)
        raise NotThereError(
            f"{self.url} has no form that leads to {action}. It says: {self.text[:300]}"
        )


def read_form(node: LexborNode, address: str) -> Form:
    fields: dict[str, str] = {}
    offered: dict[str, tuple[str, ...]] = {}
    for field in node.css("input[name], select[name], textarea[name]"):
        name = field.attributes["name"] or ""
        if "disabled" in field.attributes:
            continue
        if field.tag == "select":
            read_select(field, name, fields, offered)
        elif field.attributes.get("type") in ("radio", "checkbox"):
            value = field.attributes.get("value") or "on"
            offered[name] = (*offered.get(name, ()), value)
            if "checked" in field.attributes:
                fields[name] = value
        elif field.attributes.get("type") not in ("submit", "button", "image", "file"):
            fields[name] = field.attributes.get("value") or field.text() or ""
    return Form(address, (node.attributes.get("method") or "get").lower(), fields, offered)


def read_select(
    field: LexborNode, name: str, fields: dict[str, str], offered: dict[str, tuple[str, ...]]
) -> None:
    options = [o for o in field.css("option") if "disabled" not in o.attributes]
    values = [o.attributes.get("value") or "" for o in options]
    offered[name] = tuple(values)
    chosen = [o.attributes.get("value") or "" for o in options if "selected" in o.attributes]
    if values:
        fields[name] = (chosen or values)[0]


class Browser:
    """Keeps cookies and follows redirects.

    It keeps no connection from page to page: a server may hang up on an idle one in the very
    moment of the next request. People's browsers then ask again, also for a form; requests doesn't.
    """

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.headers["User-Agent"] = "demo-visitor"

    def open(self, url: str, expect: int = 200) -> Page:
        return self._page(expect, "get", url)

    def submit(
        self, page: Page, form: Form, values: Mapping[str, str] | None = None, *, expect: int = 200
    ) -> Page:
        """Send `form` of `page` with some of its values changed."""
        data = {**form.fields, **(values or {})}
        is_get = form.method == "get"
        return self._page(
            expect,
            form.method,
            form.action,
            params=data if is_get else None,
            data=None if is_get else data,
            headers={"Referer": page.url},
        )

    def _page(self, expect: int, method: str, url: str, **sent: Any) -> Page:
        with self.session:  # the end of which closes its connections; it may be used again
            answer = self.session.request(method, url, timeout=PATIENCE_SECONDS, **sent)
        page = Page(answer.url, answer.status_code, LexborHTMLParser(answer.text))
        if answer.status_code != expect:
            raise NotThereError(f"{answer.url} answered {answer.status_code}: {page.text[:300]}")
        return page
