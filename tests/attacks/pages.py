"""A page as an attacker reads it: its links, its forms, and what a strict policy would forbid."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID_TYPES = {"button", "image", "reset"}
LOADING = {"script", "img", "iframe", "source", "video", "audio", "embed", "track", "input"}


@dataclass
class Field:
    """One input of a form as the page shows it."""

    name: str
    kind: str
    value: str
    options: list[str] = field(default_factory=list)


@dataclass
class Form:
    """A form with the fields it would send, and its buttons' own values."""

    action: str
    method: str
    multipart: bool = False
    fields: list[Field] = field(default_factory=list)
    buttons: list[Field] = field(default_factory=list)

    def values(self) -> dict[str, str]:
        """Return what the form sends when nothing is typed."""
        return {each.name: each.value for each in self.fields if each.name}

    def named(self, kinds: Iterable[str]) -> list[Field]:
        return [each for each in self.fields if each.kind in kinds]


class Page(HTMLParser):
    """Parse once; then ``links``, ``forms``, ``loads`` and ``faults`` tell what was found."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.loads: list[str] = []
        self.forms: list[Form] = []
        self.faults: list[str] = []
        self._open: Form | None = None
        self._by_id: dict[str, Form] = {}
        self._strays: list[tuple[str, Field, bool]] = []
        self._script = False
        self._area: Field | None = None
        self._select: Field | None = None
        self.feed(html)
        self.close()
        for owner, stray, is_button in self._strays:
            if owner in self._by_id:
                form = self._by_id[owner]
                (form.buttons if is_button else form.fields).append(stray)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._judge(tag, given)
        if tag in ("a", "area"):
            self.links.append(given.get("href", ""))
        elif tag == "link":
            self.loads.append(given.get("href", ""))
        elif tag in LOADING and given.get("src"):
            self.loads.append(given["src"])
        elif tag == "form":
            self._begin_form(given)
        if tag in ("input", "textarea", "select", "button"):
            self._take_field(tag, given)
        elif tag == "option" and self._select is not None:
            self._take_option(given)
        if tag == "script":
            self._script = "src" not in given and "json" not in given.get("type", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "script":
            self._script = False
        elif tag == "textarea":
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.faults.append(f"a script within the page: {data.strip()[:60]}")
        if self._area is not None:
            self._area.value += data

    def _judge(self, tag: str, given: dict[str, str]) -> None:
        for name, value in given.items():
            if name.startswith("on"):
                self.faults.append(f"<{tag} {name}={value[:40]!r}>")
            if name == "style":
                self.faults.append(f"<{tag} style={value[:40]!r}>")
            if value.strip().lower().startswith(("javascript:", "vbscript:")):
                self.faults.append(f"<{tag} {name}={value[:40]!r}>")
        if tag in ("style", "base", "object", "applet"):
            self.faults.append(f"<{tag}>")
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.links.append(given.get("content", "").partition("url=")[2])

    def _begin_form(self, given: dict[str, str]) -> None:
        method = given.get("method", "get").upper()
        multipart = given.get("enctype", "") == "multipart/form-data"
        self._open = Form(given.get("action", ""), method, multipart)
        self.forms.append(self._open)
        if "id" in given:
            self._by_id[given["id"]] = self._open

    def _take_field(self, tag: str, given: dict[str, str]) -> None:
        kind = given.get("type", "text").lower() if tag == "input" else tag
        made = Field(given.get("name", ""), kind, given.get("value", ""))
        is_button = tag == "button" or kind in VOID_TYPES or kind == "submit"
        unchecked = kind in ("checkbox", "radio") and "checked" not in given
        if kind == "checkbox" and "value" not in given:
            made.value = "on"
        if tag == "textarea":
            self._area = made
        if tag == "select":
            self._select = made
        if "formaction" in given:
            self.forms.append(Form(given["formaction"], given.get("formmethod", "post").upper()))
        if unchecked:
            return
        if "form" in given:
            self._strays.append((given["form"], made, is_button))
        elif self._open is not None:
            (self._open.buttons if is_button else self._open.fields).append(made)

    def _take_option(self, given: dict[str, str]) -> None:
        assert self._select is not None
        self._select.options.append(given.get("value", ""))
        if len(self._select.options) == 1 or "selected" in given:
            self._select.value = given.get("value", "")
