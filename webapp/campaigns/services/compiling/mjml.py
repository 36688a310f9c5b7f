"""MJML to HTML by mrml, with errors that name the line; mrml itself tells bytes, if anything."""

import re
from html.parser import HTMLParser

import mrml

from webapp.campaigns.errors import UnreadableBody

# A comment can be read in one way only, or many of them would be tried in all combinations.
BEGINNING = re.compile(r"\s*(?:<\?xml[^>]*>\s*|<!--(?:(?!-->).)*-->\s*)*<mjml\b", re.DOTALL)
POSITION = re.compile(r"position (\d+):(\d+)")
OPTIONS = mrml.ParserOptions(include_loader=mrml.noop_loader())
KNOWN = re.compile(
    r"mjml|mj-(?:head|body|include|attributes|all|class|breakpoint|font|html-attributes?|selector|"
    r"preview|style|title|accordion(?:-(?:element|title|text))?|button|carousel(?:-image)?|column|"
    r"divider|group|hero|image|navbar(?:-link)?|raw|section|social(?:-element)?|spacer|table|text|"
    r"wrapper)"
)


def render_mjml(source: str) -> str:
    """Return the HTML document. Raises UnreadableBody."""
    if not BEGINNING.match(source):
        raise UnreadableBody("The MJML can't be read: it doesn't begin with <mjml>.")
    tags = _Tags()
    tags.feed(source)
    tags.close()
    if tags.fault is None and tags.open:
        name, line = tags.open[-1]
        tags.fault = f"the <{name}> of line {line} is never closed"
    if tags.fault is not None:
        raise UnreadableBody(f"The MJML can't be read: {tags.fault}.")
    try:
        return mrml.to_html(source, OPTIONS).content
    except OSError as error:
        raise UnreadableBody(_sentence(source, str(error))) from None


def _sentence(source: str, error: str) -> str:
    found = POSITION.search(error)
    if found is None:
        return "The MJML can't be read: a tag is never closed, or closed by another one's name."
    begin, end = (int(place) for place in found.groups())
    raw = source.encode()
    begin += len(raw[begin:end]) - len(raw[begin:end].lstrip())
    line = raw[:begin].count(b"\n") + 1
    if b"<mjml" in raw[begin:end]:
        # The place of the whole is given where the parser has lost its own.
        return "The MJML can't be read: something in it is no MJML."
    words = raw[begin:end].decode(errors="replace").strip()[:40]
    return f"The MJML can't be read: line {line} has something unexpected, “{words}”."


class _Tags(HTMLParser):
    """The MJML tags that are open, and the first fault; mrml takes some faults for content."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, int]] = []
        self.fault: str | None = None

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        if self._is_ours(tag):
            self.open.append((tag, self.getpos()[0]))

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self._is_ours(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.fault is not None or not self._is_ours(tag):
            return
        line = self.getpos()[0]
        if not self.open:
            self.fault = f"line {line} closes a <{tag}> that isn't open"
            return
        name, since = self.open.pop()
        if name != tag:
            self.fault = (
                f"the <{name}> of line {since} is still open where line {line} closes <{tag}>"
            )

    def _is_ours(self, tag: str) -> bool:
        if tag != "mjml" and not tag.startswith("mj-"):
            return False
        if self.fault is None and not KNOWN.fullmatch(tag):
            self.fault = f"line {self.getpos()[0]} has <{tag}>, which MJML doesn't know"
        if self.fault is None and tag == "mj-include":
            self.fault = f"line {self.getpos()[0]} includes a file, and there are none here"
        return True
