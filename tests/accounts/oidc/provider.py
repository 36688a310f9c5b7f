"""A small OpenID provider on loopback, as strict as Google and Apple, that lies when told to."""

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.accounts.oidc.tokens import Lie, mint
from tests.listening import RoomyServer

CLIENT_ID = "shop.example.client"
CLIENT_SECRET = "only-between-us-" + "s" * 16
TEAM_ID = "TEAM123456"
KEY_ID = "KEY1234567"


class Manner(StrEnum):
    """Whose habits the provider has."""

    GOOGLE = "google"
    APPLE = "apple"


@dataclass
class Person:
    """An account at the provider."""

    email: str
    subject: str
    name: str = ""
    email_verified: Any = True


@dataclass
class Grant:
    """A code that was given out, and what it was given out for."""

    person: Person
    nonce: str
    redirect_uri: str
    challenge: str


@cache
def first_key() -> RSAKey:
    return new_key()


def new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})


@dataclass
class OidcProvider:
    """The provider's state. Tests change it between requests.

    ``answers_as``: the account that is logged in there, so that nobody is asked; None asks.
    """

    manner: Manner
    people: list[Person] = field(default_factory=list)
    answers_as: Person | None = None
    lie: Lie | None = None
    down: bool = False
    pause: float = 0
    url: str = ""
    key: RSAKey = field(default_factory=first_key)
    published: RSAKey | None = None
    client_key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    grants: dict[str, Grant] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    pem: str = field(init=False)

    def __post_init__(self) -> None:
        self.pem = self.client_key.as_pem(private=True).decode()

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish that one alone."""
        self.key = new_key()

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the parameters of every request to ``path`` so far."""
        return [parameters for where, parameters in self.seen if where == path]

    def settings(self) -> dict[str, str]:
        """Return the app's settings that make this its provider."""
        if self.manner is Manner.GOOGLE:
            return {
                "google_client_id": CLIENT_ID,
                "google_client_secret": CLIENT_SECRET,
                "google_issuer": self.url,
            }
        return {
            "apple_client_id": CLIENT_ID,
            "apple_team_id": TEAM_ID,
            "apple_key_id": KEY_ID,
            "apple_private_key": self.pem,
            "apple_issuer": self.url,
        }

    def grant(self, asked: dict[str, str], person: Person) -> dict[str, str]:
        """Return the parameters that the browser carries back."""
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(
            person, asked.get("nonce", ""), asked["redirect_uri"], asked["code_challenge"]
        )
        state = secrets.token_urlsafe(8) if self.lie is Lie.WRONG_STATE else asked["state"]
        answer = {"code": code, "state": state}
        if self.lie is Lie.ANOTHER_ISSUER_ANSWERS:
            answer["iss"] = "https://evil.example"
        if self.manner is Manner.APPLE and person.name and person.subject not in self.named:
            # Apple tells the name once in a lifetime, beside the token and unsigned.
            self.named.add(person.subject)
            first, _, last = person.name.partition(" ")
            answer["user"] = json.dumps({"name": {"firstName": first, "lastName": last}})
        return answer

    def redeem(self, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer the token endpoint."""
        if not self._knows_client(asked):
            return 401, {"error": "invalid_client"}
        grant = self.grants.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            grant is None
            or asked.get("grant_type") != "authorization_code"
            or asked.get("redirect_uri") != grant.redirect_uri
            or challenge != grant.challenge
        ):
            return 400, {"error": "invalid_grant"}
        person = grant.person
        claims = {
            "sub": person.subject,
            "email": person.email,
            "email_verified": person.email_verified,
            "nonce": grant.nonce,
            "aud": CLIENT_ID,
            "iss": self.url,
        }
        if self.manner is Manner.GOOGLE:
            claims["name"] = person.name
        access = secrets.token_urlsafe(16)
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": 3600}
        if self.lie is not Lie.NO_ID_TOKEN:
            answer["id_token"] = mint(claims, self.key, access, self.lie)
        return 200, answer

    def _knows_client(self, asked: dict[str, str]) -> bool:
        secret = asked.get("client_secret", "")
        if asked.get("client_id") != CLIENT_ID:
            return False
        if self.manner is Manner.GOOGLE:
            return secrets.compare_digest(secret, CLIENT_SECRET)
        try:
            token = jwt.decode(secret, self.client_key, ["ES256"])
            jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": TEAM_ID},
                sub={"essential": True, "value": CLIENT_ID},
                aud={"essential": True, "value": self.url},
                exp={"essential": True},
            ).validate(token.claims)
        except Exception:
            return False
        return token.header.get("kid") == KEY_ID


class _Desk(BaseHTTPRequestHandler):
    provider: ClassVar[OidcProvider]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = dict(parse_qsl(parts.query))
        self.provider.seen.append((parts.path, asked))
        time.sleep(self.provider.pause)
        if self.provider.down:
            return self._say(503, "Out of order.", "text/plain")
        pages = {
            "/.well-known/openid-configuration": self._discovery,
            "/authorize": self._authorize,
            "/jwks": self._jwks,
        }
        page = pages.get(parts.path)
        return page(asked) if page else self._say(404, "Nothing here.", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        asked = dict(parse_qsl(body))
        self.provider.seen.append((self.path, asked))
        if self.provider.down:
            return self._say(503, "Out of order.", "text/plain")
        status, answer = self.provider.redeem(asked)
        return self._say(status, json.dumps(answer), "application/json")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests have ``seen``."""

    def _discovery(self, asked: dict[str, str]) -> None:
        url = self.provider.url
        document = {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        if self.provider.lie is Lie.DISCOVERY_OF_ANOTHER:
            document["issuer"] = "https://evil.example"
        self._say(200, json.dumps(document), "application/json")

    def _jwks(self, asked: dict[str, str]) -> None:
        key = self.provider.published or self.provider.key
        document = {"keys": [key.as_dict(private=False)]}
        self._say(200, json.dumps(document), "application/json")

    def _authorize(self, asked: dict[str, str]) -> None:
        if fault := self._fault(asked):
            return self._say(400, fault, "text/plain")
        chosen = asked.pop("as", None)
        if chosen == "nobody":
            return self._carry_back(asked, {"error": "access_denied", "state": asked["state"]})
        person = self.provider.answers_as or next(
            (person for person in self.provider.people if person.subject == chosen), None
        )
        if person is None:
            return self._ask(asked)
        return self._carry_back(asked, self.provider.grant(asked, person))

    def _fault(self, asked: dict[str, str]) -> str:
        expected = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        for name, value in expected.items():
            if asked.get(name) != value:
                return f"{name} must be {value}"
        for name in ("state", "nonce", "redirect_uri", "code_challenge"):
            if not asked.get(name):
                return f"{name} is missing"
        if "openid" not in asked.get("scope", "").split():
            return "scope lacks openid"
        if self.provider.manner is Manner.APPLE and asked.get("response_mode") != "form_post":
            return "response_mode must be form_post when name or email scope is requested."
        return ""

    def _ask(self, asked: dict[str, str]) -> None:
        links = "".join(
            f'<p><a href="/authorize?{html.escape(urlencode({**asked, "as": person.subject}))}">'
            f"Continue as {html.escape(person.email)}</a></p>"
            for person in self.provider.people
        )
        nobody = html.escape(urlencode({**asked, "as": "nobody"}))
        page = f'<h1>Who are you?</h1>{links}<p><a href="/authorize?{nobody}">Cancel</a></p>'
        self._say(200, PAGE.format(page), "text/html; charset=utf-8")

    def _carry_back(self, asked: dict[str, str], answer: dict[str, str]) -> None:
        target = asked["redirect_uri"]
        if self.provider.manner is Manner.APPLE:
            fields = "".join(
                f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
                for name, value in answer.items()
            )
            form = f'<form method="post" action="{html.escape(target)}">{fields}</form>'
            script = "<script>document.forms[0].submit()</script>"
            return self._say(200, PAGE.format(form + script), "text/html; charset=utf-8")
        self.send_response(302)
        self.send_header("Location", f"{target}?{urlencode(answer)}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _say(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # Whoever asked may have hung up meanwhile.
        with suppress(BrokenPipeError):
            self.wfile.write(body)


PAGE = (
    "<!doctype html><html lang='en'><meta name='viewport' content='width=device-width'>"
    "<title>Provider</title>{}</html>"
)


@contextmanager
def serve(manner: Manner, host: str = "127.0.0.1") -> Iterator[OidcProvider]:
    """Run a provider on a free port of loopback, which ``host`` is a name of."""
    provider = OidcProvider(manner)
    handler = type("Desk", (_Desk,), {"provider": provider})
    server = RoomyServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    provider.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)
