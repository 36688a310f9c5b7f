"""The process's settings, typed, from the environment; secrets may come from ``X_FILE`` files."""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy.engine import URL, make_url

from webapp.core.errors import ConfigError

# RFC 8301, 3.2: verifiers take no signature by a shorter one.
DKIM_MIN_BITS = 1024
DNS_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
DEVELOPMENT_SECRET = "development-only-secret-key"  # noqa: S105 - refused in production


class Env(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Config(BaseModel):
    """Every setting of a process. The environment variable is the field's name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app_env: Env = Env.PRODUCTION
    secret_key: str = DEVELOPMENT_SECRET
    secret_key_previous: str = ""
    database_url: str = "postgresql+psycopg://localhost/postgres"
    database_name: str = "startupwebapp_dev"
    redis_url: str = "redis://localhost:6379/0"
    base_url: str = "http://localhost:8000"
    trusted_hops: int = Field(default=0, ge=0, le=5)
    upload_folder: Path = Path("uploads")

    stripe_secret_key: str = ""
    stripe_webhook_secret: str = ""
    stripe_webhook_secret_previous: str = ""
    stripe_api_base: str = ""
    stripe_timeout_seconds: float = Field(default=8, gt=0)

    smtp_url: str = "smtp://localhost:25"
    # Where campaigns go; empty is where all other mails go.
    bulk_smtp_url: str = ""
    # Mails of campaigns bounce to this mailbox, each with its code (VERP): bounces@shop.example.
    bounce_address: str = ""
    soft_bounce_limit: int = Field(default=5, ge=1)
    # DKIM (RFC 6376): off without a key, in PEM.
    dkim_domain: str = ""
    dkim_selector: str = ""
    dkim_private_key: str = ""
    # Which Amazon SNS topic, and which SendGrid key, may report bounces; off when empty.
    ses_topic_arn: str = ""
    sendgrid_public_key: str = ""
    # The journals of leases and the clicks that wait for Redis; must outlive the process.
    spool_folder: Path = Path("spool")

    # RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes. A change reaches
    # every stored hash at its owner's next login.
    argon2_time_cost: int = Field(default=3, ge=1)
    argon2_memory_kib: int = Field(default=65536, ge=8)
    argon2_parallelism: int = Field(default=4, ge=1)

    # Sign in with Google and Apple: off without a client id.
    google_client_id: str = ""
    google_client_secret: str = ""
    google_issuer: str = "https://accounts.google.com"
    apple_client_id: str = ""
    apple_team_id: str = ""
    apple_key_id: str = ""
    apple_private_key: str = ""
    apple_issuer: str = "https://appleid.apple.com"

    # How far a simulation's processes are ahead of the real time; refused in production.
    clock_offset_file: Path | None = None

    request_limit: str = "1000 per minute"
    log_level: str = "INFO"
    job_lease_seconds: int = Field(default=120, ge=1)
    relay_after_seconds: int = Field(default=10, ge=1)
    # How often the clock looks what is due.
    tick_seconds: float = Field(default=0.5, gt=0)
    checkout_minutes: int = Field(default=35, ge=31, le=1440)
    pool_size: int = Field(default=5, ge=1)

    @property
    def secure(self) -> bool:
        """Whether visitors reach us over HTTPS, so that cookies may insist on it."""
        return self.base_url.startswith("https://")

    @property
    def fork_database_url(self) -> URL:
        return make_url(self.database_url).set(
            drivername="postgresql+psycopg", database=self.database_name
        )

    @property
    def maintenance_database_url(self) -> URL:
        """The database to connect to for creating and listing others."""
        return make_url(self.database_url).set(drivername="postgresql+psycopg", database="postgres")

    @property
    def google_is_on(self) -> bool:
        return bool(self.google_client_id and self.google_client_secret)

    @property
    def apple_is_on(self) -> bool:
        signing = self.apple_team_id, self.apple_key_id, self.apple_private_key
        return bool(self.apple_client_id and all(signing))

    @property
    def providers(self) -> list[str]:
        """The issuers of the OpenID Connect providers that are switched on."""
        issuers = [(self.google_is_on, self.google_issuer), (self.apple_is_on, self.apple_issuer)]
        return [issuer for is_on, issuer in issuers if is_on]

    @property
    def webhook_secrets(self) -> list[str]:
        """The signing secrets accepted now: two while one is being rolled."""
        return [s for s in (self.stripe_webhook_secret, self.stripe_webhook_secret_previous) if s]

    @model_validator(mode="after")
    def refuse_half_a_signature(self) -> Self:
        if not self.dkim_private_key:
            return self
        if not (self.dkim_domain and self.dkim_selector):
            raise ValueError("DKIM_PRIVATE_KEY needs DKIM_DOMAIN and DKIM_SELECTOR beside it")
        if not DNS_NAME.fullmatch(f"{self.dkim_selector}.{self.dkim_domain}"):
            raise ValueError("DKIM_DOMAIN and DKIM_SELECTOR must be names as they stand in DNS")
        read_dkim_key(self.dkim_private_key)
        return self

    @model_validator(mode="after")
    def refuse_production_without_secrets(self) -> Self:
        if self.app_env is not Env.PRODUCTION:
            return self
        missing = [
            name.upper()
            for name in ("stripe_secret_key", "stripe_webhook_secret")
            if not getattr(self, name)
        ]
        if self.secret_key == DEVELOPMENT_SECRET or len(self.secret_key) < 32:
            missing.insert(0, "SECRET_KEY (32 characters or more)")
        if not self.secure:
            missing.append("BASE_URL beginning with https://")
        if self.clock_offset_file:
            missing.append("the real time, so no CLOCK_OFFSET_FILE")
        if missing:
            raise ValueError("production needs " + ", ".join(missing))
        return self


def read_dkim_key(pem: str) -> RSAPrivateKey | Ed25519PrivateKey:
    """Return the key that mails are signed with. Raises ValueError with a sentence."""
    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own words may repeat parts of the key.
        raise ValueError("DKIM_PRIVATE_KEY is not a private key in PEM without password") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= DKIM_MIN_BITS:
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError("DKIM_PRIVATE_KEY must be an RSA key of 1024 bits or more, or Ed25519")


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings from ``environ``; ``X_FILE`` names a file that holds ``X``.

    Raises ConfigError with one sentence that names every setting to mend.
    """
    env = os.environ if environ is None else environ
    values: dict[str, str] = {}
    for field in Config.model_fields:
        name = field.upper()
        if f"{name}_FILE" in env:
            values[field] = _read_secret(name, env[f"{name}_FILE"])
        elif env.get(name, "") != "":
            values[field] = env[name]
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"Can't start: {_sentence(error)}.") from None


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"Can't start: {name}_FILE: {error.strerror}: {path}") from None


def _sentence(error: ValidationError) -> str:
    # Values may be secrets: only names and reasons are told.
    parts = []
    for item in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part).upper() for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}" if where else message)
    return "; ".join(parts)
