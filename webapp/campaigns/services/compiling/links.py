"""The links and pictures of a mail: made absolute, labelled for statistics, registered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import idna

from webapp.campaigns.errors import UnreadableBody
from webapp.campaigns.marks import BROWSER, CLICK, LEAVE, Mark, write
from webapp.campaigns.services.compiling.held import Held

MAX_LINKS = 1000
ELSEWHERE = frozenset({"mailto", "tel", "sms"})
KEPT = "%/:=&?~#+!$,;'@()*[]"


@dataclass(frozen=True, slots=True)
class Link:
    """Where ``{{@click:number}}`` leads. Nobody sees a ``trap``."""

    number: int
    url: str
    trap: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """A link as it was written. ``url`` is where it leads, None where ``fault`` says why not.

    Faults are ``empty``, ``variable`` and ``syntax``. Links to no page have neither.
    """

    raw: str
    words: str
    url: str | None = None
    fault: str = ""


@dataclass(slots=True)
class Linker:
    """Gives the links of one variant their addresses; ``first`` is the first free number."""

    base: str
    utm: Mapping[str, str]
    tracked: bool
    first: int
    held: Held
    links: list[Link] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    _first_to: dict[str, int] = field(default_factory=dict)

    def follow(self, href: str, words: str) -> str:
        """Return what stands in the mail instead of ``href``."""
        anchor = self._read(href.strip(), words)
        self.anchors.append(anchor)
        if anchor.url is None:
            return href.strip()
        return self._register(anchor.url)

    def same(self, url: str) -> str:
        """Return what stands for ``url`` in the text part: the HTML's link that leads there."""
        anchor = self._read(url, "")
        if anchor.url is None:
            return url
        if not self.tracked:
            return anchor.url
        if anchor.url in self._first_to:
            return _mark(self._first_to[anchor.url])
        return self.follow(url, url)

    def trap(self) -> str:
        """Register the link that no person sees."""
        number = self.first + len(self.links)
        self.links.append(Link(number, f"{self.base}/", trap=True))
        return _mark(number)

    def absolute(self, src: str) -> str:
        """Return the address of a picture."""
        text = self._constant(src.strip())
        if not text or next(self.held.marks_in(src), None) or text.startswith(("data:", "cid:")):
            return text
        try:
            return ascii_url(urljoin(f"{self.base}/", text))
        except ValueError:
            return text

    def _register(self, url: str) -> str:
        if not self.tracked:
            return url
        if len(self.links) == MAX_LINKS:
            raise UnreadableBody(f"The body has more than {MAX_LINKS} links.")
        number = self.first + len(self.links)
        self.links.append(Link(number, url))
        self._first_to.setdefault(url, number)
        return _mark(number)

    def _read(self, href: str, words: str) -> Anchor:
        raw = self.held.to_text(href)
        found = list(self.held.marks_in(href))
        text = self._constant(href)
        scheme = text.partition(":")[0].lower()
        if not text:
            return Anchor(raw, words, fault="empty")
        if text.startswith("#") or scheme in ELSEWHERE or raw in _OURS:
            return Anchor(raw, words)
        if found:
            return Anchor(raw, words, fault="variable")
        try:
            return Anchor(raw, words, url=self._label(ascii_url(urljoin(f"{self.base}/", text))))
        except ValueError:
            return Anchor(raw, words, fault="syntax")

    def _constant(self, text: str) -> str:
        return text if next(self.held.marks_in(text), None) else self.held.to_text(text)

    def _label(self, url: str) -> str:
        """Return an address of this shop with UTM parameters, none of which replaces another."""
        parts = urlsplit(url)
        if parts.netloc != urlsplit(self.base).netloc:
            return url
        there = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        added = urlencode({name: value for name, value in self.utm.items() if name not in there})
        return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, added)))))


def ascii_url(url: str) -> str:
    """Return the http address in ASCII (IDNA 2008, RFC 3986). Raises ValueError."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in host):
        raise ValueError(url)
    if not host.isascii():
        host = idna.encode(host, uts46=True).decode("ascii")
    if ":" in host:
        host = f"[{host}]"
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    netloc = user + host + (f":{port}" if port else "")
    path, query, fragment = (
        quote(part, safe=KEPT) for part in (parts.path, parts.query, parts.fragment)
    )
    return urlunsplit((parts.scheme, netloc, path, query, fragment))


def _mark(number: int) -> str:
    return write(Mark(CLICK, number=number))


_OURS = frozenset({write(Mark(LEAVE)), write(Mark(BROWSER))})
