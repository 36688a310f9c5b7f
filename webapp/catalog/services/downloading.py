"""One picture from somebody else's server, without letting its address lead us astray."""

import ipaddress
import socket
import time
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter

from webapp.catalog.errors import UnusablePicture

MAX_BYTES = 10 << 20
TIMEOUT_SECONDS = 10
# A server may send a byte every nine seconds.
TOTAL_SECONDS = 30
MAX_REDIRECTS = 5
PORTS = {"http": 80, "https": 443}


class _NamedHost(HTTPAdapter):
    """Connects to the address in the URL but expects the certificate of the host's name."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self._host, **kwargs)


def download(url: str, *, allow_private: bool = False) -> bytes:
    """Return what ``url`` holds, following redirects.

    Unless ``allow_private``, names are resolved once, only public addresses are used, and the
    connection goes to the address that was checked: a name that answers differently the second
    time (DNS rebinding) gains nothing. Raises UnusablePicture.
    """
    deadline = time.monotonic() + TOTAL_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        try:
            with _request(url, allow_private=allow_private) as response:
                if not response.is_redirect:
                    return _read(response, deadline)
                url = urljoin(url, response.headers["Location"])
        except (requests.RequestException, OSError, ValueError) as error:
            raise UnusablePicture(f"It couldn't be fetched: {_reason(error)}.") from error
    raise UnusablePicture(f"It is redirected more than {MAX_REDIRECTS} times.")


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not in order"
    if isinstance(error, requests.ConnectionError):
        return "the server can't be reached"
    return type(error).__name__


def _request(url: str, *, allow_private: bool) -> requests.Response:
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in PORTS or not host or parts.username is not None:
        raise UnusablePicture("Its address is not a plain http or https one.")
    port = parts.port or PORTS[parts.scheme]
    address = _resolve(host, port, allow_private=allow_private)
    bracketed = f"[{address}]" if ":" in address else address
    direct = urlunsplit((parts.scheme, f"{bracketed}:{port}", parts.path, parts.query, ""))
    session = requests.Session()
    # A proxy of the environment would resolve the name itself.
    session.trust_env = False
    if parts.scheme == "https":
        session.mount("https://", _NamedHost(host))
    return session.get(
        direct,
        headers={"Host": parts.netloc, "Accept": "image/*", "User-Agent": "StartupWebApp"},
        timeout=TIMEOUT_SECONDS,
        allow_redirects=False,
        stream=True,
    )


def _resolve(host: str, port: int, *, allow_private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnusablePicture("Its server's name is unknown.") from None
    addresses = [str(item[4][0]) for item in found]
    if not allow_private and not all(is_public(address) for address in addresses):
        raise UnusablePicture("Its server is not on the public internet.")
    return addresses[0]


def is_public(address: str) -> bool:
    """Return whether ``address`` belongs to the public internet (IANA's special registries)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = _embedded(ip)
    return ip.is_global and not ip.is_multicast and (inner is None or is_public(str(inner)))


def _embedded(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4 (RFC 3056), NAT64 (RFC 6052)."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def _read(response: requests.Response, deadline: float) -> bytes:
    if response.status_code != 200:
        raise UnusablePicture(f"Its server answered {response.status_code}.")
    too_big = UnusablePicture(f"It is bigger than {MAX_BYTES >> 20} MB.")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > MAX_BYTES:
        raise too_big
    content = bytearray()
    for chunk in response.iter_content(64 << 10):
        content += chunk
        if len(content) > MAX_BYTES:
            raise too_big
        if time.monotonic() > deadline:
            raise UnusablePicture(f"It took longer than {TOTAL_SECONDS} seconds.")
    return bytes(content)
