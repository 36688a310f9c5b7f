"""Fetches a mail's links and pictures to see that they are there; jobs alone call it.

An author decides which addresses are asked, so ours must not be a way into our own network: names
are resolved once, only public addresses are used, and each redirect is judged anew. What was seen
is kept in Redis for a day, where the checks find it.
"""

import hashlib
import json
import logging
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from redis import RedisError
from requests.adapters import HTTPAdapter

from webapp.campaigns.models import Email
from webapp.campaigns.services.checking.finding import Finding, Level, hint
from webapp.campaigns.services.checking.links import addresses
from webapp.campaigns.services.compiling import Compiled, compile_all
from webapp.catalog.services.downloading import is_public
from webapp.core.redis import redis_client
from webapp.core.state import current_config, current_fork

logger = logging.getLogger(__name__)

MOST, AT_ONCE, TIMEOUT_SECONDS, MAX_REDIRECTS = 50, 8, 5, 5
PICTURE_SECONDS, HEAVY_BYTES = 10, 1_000_000
KEPT_SECONDS = 24 * 3600
PORTS = {"http": 80, "https": 443}
GONE = {404, 410}


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    is_picture: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """``why`` goes on after the address."""

    level: Level
    why: str


class _Refused(Exception):
    """The address must not be asked; what it says goes to the author."""


class _NamedHost(HTTPAdapter):
    """Connects to the address in the URL but expects the certificate of the host's name."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self._host, **kwargs)


def check_remote(email: Email) -> list[Finding]:
    """Fetch what the mail links to and shows, and return what is wrong with it.

    It takes up to a minute and must not run within a transaction: see ``list_addresses``.
    """
    wanted = list_addresses(email)
    seen = look_at(wanted)
    remember(seen)
    return _findings(seen)


def list_addresses(email: Email) -> list[Address]:
    """Return what is to be fetched, at most 50; nothing for a body that can't be read."""
    return addresses_of(made for _, made in compile_all(email) if isinstance(made, Compiled))


def addresses_of(variants: Iterable[Compiled]) -> list[Address]:
    found: dict[str, bool] = {}
    for made in variants:
        pages, pictures = addresses(made)
        found |= dict.fromkeys(pages, False) | dict.fromkeys(pictures, True)
    return [Address(url, is_picture) for url, is_picture in found.items()][:MOST]


def look_at(wanted: Iterable[Address]) -> dict[Address, Trouble | None]:
    """Return what is wrong with each address, None for what is there."""
    parts = urlsplit(current_config().base_url)
    home = (parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0))
    asked = list(wanted)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(asked, pool.map(lambda each: look(each, home), asked), strict=True))


def look(address: Address, home: tuple[str, int]) -> Trouble | None:
    """Return what is wrong with one address. ``home`` is the host and port of the shop itself."""
    try:
        return _follow(address, home)
    except _Refused as refusal:
        return _broken(Level.ERROR, str(refusal))
    except requests.exceptions.SSLError:
        return _broken(Level.WARNING, "its server's certificate is not in order")
    except requests.Timeout:
        return _broken(Level.WARNING, f"no answer within {TIMEOUT_SECONDS} seconds")
    except (requests.RequestException, OSError, ValueError):
        return _broken(Level.WARNING, "its server can't be reached")


def remember(seen: dict[Address, Trouble | None]) -> None:
    try:
        with redis_client().pipeline(transaction=False) as pipe:
            for address, trouble in seen.items():
                said = [trouble.level.value, trouble.why] if trouble else []
                pipe.set(_key(address), json.dumps(said), ex=KEPT_SECONDS)
            pipe.execute()
    except RedisError as failure:
        logger.warning("link checks not kept", extra={"why": type(failure).__name__})


def recall(wanted: list[Address]) -> list[Finding]:
    """Return what the last look at the addresses found; a hint while there was none."""
    if not wanted:
        return []
    try:
        kept: Any = redis_client().mget([_key(address) for address in wanted])
    except RedisError:
        return []
    seen = {
        address: (Trouble(Level(said[0]), said[1]) if (said := json.loads(raw)) else None)
        for address, raw in zip(wanted, kept, strict=True)
        if raw is not None
    }
    findings = _findings(seen)
    if missing := len(wanted) - len(seen):
        noun = "link or picture hasn't" if missing == 1 else "links and pictures haven't"
        findings.append(hint("links_unchecked", f"{missing} {noun} been tried yet: check links."))
    return findings


def _findings(seen: dict[Address, Trouble | None]) -> list[Finding]:
    return [
        Finding(
            trouble.level,
            "picture_remote" if address.is_picture else "link_remote",
            f"{'The picture' if address.is_picture else 'The link to'} {_short(address.url)} "
            f"{trouble.why}",
        )
        for address, trouble in seen.items()
        if trouble is not None
    ]


def _broken(level: Level, why: str) -> Trouble:
    return Trouble(level, f"doesn't work: {why}. Mend it, or take it out.")


def _short(url: str) -> str:
    return url.partition("?")[0][:80]


def _key(address: Address) -> str:
    digest = hashlib.sha256(f"{address.is_picture}{address.url}".encode()).hexdigest()
    return current_fork().redis_key("link_check", digest)


def _follow(address: Address, home: tuple[str, int]) -> Trouble | None:
    url = address.url
    for _ in range(MAX_REDIRECTS + 1):
        method = "GET" if address.is_picture else "HEAD"
        with _ask(method, url, home) as answer:
            status, target = answer.status_code, answer.headers.get("Location", "")
            if answer.is_redirect:
                url = urljoin(url, target)
                continue
            if status < 400:
                return _judge_picture(answer) if address.is_picture else None
        if not address.is_picture:
            # Many servers answer HEAD with something else than GET.
            with _ask("GET", url, home) as answer:
                status = answer.status_code
        if status < 400:
            return None
        level = Level.ERROR if status in GONE else Level.WARNING
        return _broken(level, f"its server answers {status}")
    return _broken(Level.WARNING, f"it is redirected more than {MAX_REDIRECTS} times")


def _ask(method: str, url: str, home: tuple[str, int]) -> requests.Response:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in PORTS or not host or "@" in parts.netloc:
        raise _Refused("it leads to something that is no web page")
    port = parts.port or PORTS[parts.scheme]
    ip = _resolve(host, port, may_be_private=(host, port) == home)
    bracketed = f"[{ip}]" if ":" in ip else ip
    session = requests.Session()
    # A proxy of the environment would resolve the name itself.
    session.trust_env = False
    if parts.scheme == "https":
        session.mount("https://", _NamedHost(host))
    return session.request(
        method,
        urlunsplit((parts.scheme, f"{bracketed}:{port}", parts.path or "/", parts.query, "")),
        headers={"Host": parts.netloc, "User-Agent": "StartupWebApp link check"},
        timeout=TIMEOUT_SECONDS,
        allow_redirects=False,
        stream=True,
    )


def _resolve(host: str, port: int, *, may_be_private: bool) -> str:
    """Return the address to connect to, so that a name can't answer differently the next time."""
    try:
        found = [
            str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        ]
    except (OSError, UnicodeError):
        raise requests.ConnectionError(host) from None
    if not may_be_private and not all(map(is_public, found)):
        raise _Refused("its server is not on the public internet")
    # Not every machine that has a name for both can also speak IPv6.
    return next((ip for ip in found if ":" not in ip), found[0])


def _judge_picture(answer: requests.Response) -> Trouble | None:
    kind = answer.headers.get("Content-Type", "")
    if kind and not kind.lower().startswith(("image/", "application/octet-stream")):
        return _broken(Level.WARNING, "what is there is no picture")
    announced = answer.headers.get("Content-Length", "")
    size = int(announced) if announced.isdecimal() else _measure(answer)
    if size <= HEAVY_BYTES:
        return None
    told = f"has {size // 1000:,} KB or more: make it smaller, phones load it over the air."
    return Trouble(Level.WARNING, told)


def _measure(answer: requests.Response) -> int:
    """Return how much there is, as far as it matters; a server may send a byte every second."""
    deadline, size = time.monotonic() + PICTURE_SECONDS, 0
    for chunk in answer.iter_content(64 << 10):
        size += len(chunk)
        if size > HEAVY_BYTES or time.monotonic() > deadline:
            break
    return size
