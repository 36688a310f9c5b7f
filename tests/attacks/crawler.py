"""A visitor who follows every link and presses every button of a running shop."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urljoin, urlsplit

import requests

from tests.attacks.pages import Form, Page

SECURITY = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}
# How a mail is shown in a frame of our own: with its styles, without scripts, origin or forms.
MAIL_LOOK = {
    "default-src 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
    "sandbox allow-popups allow-popups-to-escape-sandbox",
}
PRIVATE = ("/account", "/admin", "/export", "/login/second-step", "/orders/")
LEAKS = re.compile(
    r"Traceback \(most recent call last\)|sqlalchemy\.exc|psycopg\.|werkzeug\.exceptions|"
    r"jinja2\.exceptions|File \"/[^\"]+\", line \d+|/site-packages/|\$argon2id\$|"
    r"BEGIN (?:RSA |EC )?PRIVATE KEY|postgresql(?:\+psycopg)?://|redis://|sk_(?:test|live)_\w{8}|whsec_"
)
VERSION = re.compile(r"\d+\.\d+")
LISTING = re.compile(r"<title>Index of /|Directory listing for", re.IGNORECASE)
# These end what the crawler is logged in with; they are pressed by tests that mean it.
ENDING = re.compile(
    r"/logout|/data/close|/sessions/|end-all|/password$|/email$|/security/totp|/close|/staff/"
)
# One page of each kind is looked at: products and rows differ only in their names.
KINDS = (
    (re.compile(r"^/products/[^/?]+$"), 6),
    (re.compile(r"^/collections/[^/?]+$"), 4),
    (re.compile(r"^/admin/[\w/-]+/details/"), 3),
    (re.compile(r"^/admin/[\w/-]+/edit/"), 2),
    (re.compile(r"^/media/|^/static/"), 40),
    (re.compile(r"^/admin/[\w/-]+\?"), 6),
    (re.compile(r"^/[\w/-]+\?"), 12),
)
TYPED = {
    "email": "visitor@example.com",
    "password": "Quiet-Harbour-42",
    "tel": "+1 202 555 0123",
    "number": "1",
    "url": "http://localhost/",
    "date": "2026-01-01",
    "text": "Something",
    "search": "bowl",
    "textarea": "Something longer",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a scanner would report."""

    who: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.who}: {self.where}: {self.what}"


@dataclass
class Crawler:
    """Walks a shop from its front page as ``who``; ``findings`` grows on the way."""

    base: str
    who: str
    session: requests.Session = field(default_factory=requests.Session)
    findings: list[Finding] = field(default_factory=list)
    pages: dict[str, requests.Response] = field(default_factory=dict)
    pressed: set[str] = field(default_factory=set)
    _seen: dict[re.Pattern[str], int] = field(default_factory=dict)

    def walk(self, starts: list[str], most: int = 400) -> None:
        """Follow everything from ``starts``; then press every button found."""
        waiting = deque(urljoin(self.base, start) for start in starts)
        known = set(waiting)
        forms: list[tuple[str, Form]] = []
        while waiting and len(self.pages) < most:
            address = waiting.popleft()
            answer = self.get(address)
            if answer is None:
                continue
            for found in self._leads(answer, forms):
                if found not in known and self._wanted(found):
                    known.add(found)
                    waiting.append(found)
        for page, form in forms:
            self._press(page, form)

    def get(self, address: str) -> requests.Response | None:
        answer = self.session.get(address, allow_redirects=False, timeout=60)
        self.pages[address] = answer
        self.look(answer)
        return answer

    def _leads(self, answer: requests.Response, forms: list[tuple[str, Form]]) -> Iterator[str]:
        """Return where an answer leads on this site; a page's forms are put aside."""
        if "location" in answer.headers:
            yield from self._own(answer.url, [answer.headers["location"]])
        if not answer.headers.get("content-type", "").startswith("text/html"):
            return
        page = Page(answer.text)
        forms += [(answer.url, form) for form in page.forms]
        yield from self._own(answer.url, [*page.links, *page.loads])

    def _own(self, page: str, targets: list[str]) -> Iterator[str]:
        for target in targets:
            address = urldefrag(urljoin(page, target)).url
            parts = urlsplit(address)
            if parts.scheme in ("http", "https") and address.startswith(f"{self.base}/"):
                yield address
            elif parts.scheme in ("http", "https") and parts.hostname != urlsplit(page).hostname:
                continue
            elif parts.scheme not in ("http", "https", "mailto", "tel", "data", "otpauth"):
                self.report(page, f"leads to {address[:80]!r}")

    def _wanted(self, address: str) -> bool:
        path = address.removeprefix(self.base)
        for pattern, most in KINDS:
            if pattern.match(path):
                self._seen[pattern] = self._seen.get(pattern, 0) + 1
                return self._seen[pattern] <= most
        return True

    def _press(self, page: str, form: Form) -> None:
        """Send a form as it stands, with what a visitor would type into what is empty."""
        action = urljoin(page, form.action or page)
        if not action.startswith(f"{self.base}/"):
            return
        path = re.sub(r"\d+|[0-9a-f-]{36}", "#", urlsplit(action).path)
        presses = sorted(f"{b.name}={b.value}" for b in form.buttons)
        name = f"{form.method} {path} {[each.name for each in form.fields]} {presses}"
        if name in self.pressed or ENDING.search(path):
            return
        self.pressed.add(name)
        values = {f.name: f.value or TYPED.get(f.kind, "") for f in form.fields if f.name}
        for each in form.buttons[:1]:
            if each.name:
                values[each.name] = each.value
        is_get = form.method == "GET"
        answer = self.session.request(
            form.method,
            action,
            params=values if is_get else None,
            data=None if is_get else values,
            headers={"Referer": page},
            allow_redirects=False,
            timeout=60,
        )
        self.look(answer)
        if "location" in answer.headers:
            for found in self._own(answer.url, [answer.headers["location"]]):
                self.get(found)

    def report(self, where: str, what: str) -> None:
        self.findings.append(Finding(self.who, where.removeprefix(self.base), what))

    def look(self, answer: requests.Response) -> None:
        """Note all that is wrong with one answer."""
        method = answer.request.method or ""
        where = f"{method} {answer.url.removeprefix(self.base)[:150]} {answer.status_code}"
        for check in (self._status, self._headers, self._cookies, self._caching, self._content):
            for wrong in check(answer):
                self.report(where, wrong)

    def _status(self, answer: requests.Response) -> Iterator[str]:
        if answer.status_code >= 500:
            yield f"our mistake: {answer.text[:120]!r}"

    def _headers(self, answer: requests.Response) -> Iterator[str]:
        headers = answer.headers
        policy = headers.get("content-security-policy", "")
        framed = _is_look_of_mail(answer)
        expected = SECURITY | ({"x-frame-options": "SAMEORIGIN"} if framed else {})
        for name, value in expected.items():
            if headers.get(name) != value:
                yield f"{name} is {headers.get(name)!r}"
        if not framed and (
            "default-src 'self'" not in policy
            or "unsafe" in policy
            or "frame-ancestors" not in policy
        ):
            yield f"content-security-policy is {policy!r}"
        for name in ("referrer-policy", "permissions-policy"):
            if name not in headers:
                yield f"no {name}"
        if "x-powered-by" in headers or VERSION.search(headers.get("server", "")):
            yield f"tells its make: {headers.get('server')!r} {headers.get('x-powered-by')!r}"
        if headers.get("access-control-allow-origin"):
            yield "lets other sites read it"
        content = headers.get("content-type", "")
        if answer.content and not content:
            yield "says not what it is"
        if content.startswith("text/") and "charset" not in content:
            yield f"says not in which letters: {content!r}"

    def _cookies(self, answer: requests.Response) -> Iterator[str]:
        raw = answer.raw.headers
        for line in raw.getlist("set-cookie"):
            flags = {part.strip().lower() for part in line.split(";")[1:]}
            for flag in ("httponly", "samesite=lax", "path=/"):
                if flag not in flags:
                    yield f"cookie {line.split('=')[0]} without {flag}"
            if self.base.startswith("https") and "secure" not in flags:
                yield f"cookie {line.split('=')[0]} without secure"

    def _caching(self, answer: requests.Response) -> Iterator[str]:
        path = urlsplit(answer.url).path
        caching = answer.headers.get("cache-control", "")
        if answer.ok and path.startswith(PRIVATE) and "no-store" not in caching:
            yield f"private, and may be kept: cache-control {caching!r}"
        if "public" in caching and "set-cookie" in answer.headers:
            yield "sets a cookie in an answer for everybody"

    def _content(self, answer: requests.Response) -> Iterator[str]:
        if not answer.headers.get("content-type", "").startswith(("text/", "application/json")):
            return
        for leak in LEAKS.findall(answer.text):
            yield f"gives away {leak!r}"
        if LISTING.search(answer.text):
            yield "lists a folder"
        if answer.headers["content-type"].startswith("text/html"):
            page = Page(answer.text)
            # A mail has its styles in it; its document's policy shuts everything else out.
            yield from () if _is_look_of_mail(answer) else page.faults
            for address in [*page.loads, *(form.action for form in page.forms)]:
                if urlsplit(address).scheme == "http" and not address.startswith(self.base):
                    yield f"loads or sends without encryption: {address}"


def _is_look_of_mail(answer: requests.Response) -> bool:
    policy = answer.headers.get("content-security-policy", "")
    return set(policy.split("; ")) >= MAIL_LOOK


def submit(crawler: Crawler, path: str, find: Callable[[Form], bool], **typed: str) -> str:
    """Fill in and send the form of a page that ``find`` picks; returns where that leads."""
    page = crawler.session.get(f"{crawler.base}{path}", timeout=60)
    form = next(form for form in Page(page.text).forms if find(form))
    action = urljoin(page.url, form.action or page.url)
    answer = crawler.session.post(
        action,
        data=form.values() | typed,
        headers={"Referer": page.url},
        allow_redirects=False,
        timeout=60,
    )
    crawler.look(answer)
    return answer.headers.get("location", f"{answer.status_code}")
