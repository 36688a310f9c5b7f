"""How this fork writes to many: its settings, or the defaults while nobody has changed any."""

import re
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from sqlalchemy.dialects.postgresql import insert

from webapp.campaigns.errors import InvalidCampaignSettings
from webapp.campaigns.models import CampaignSettings
from webapp.core.audit import Actor, record
from webapp.core.db import db

MAX_ORIGINS = 50
# What may stand in a Content-Security-Policy without ending it.
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class SettingsDetails:
    """What may change about the settings; the fields are CampaignSettings' own."""

    approval: bool = False
    double_opt_in: bool = True
    utm: bool = True
    archive: bool = True
    time_zone: str = "UTC"
    embed_origins: str = ""


def get_settings() -> CampaignSettings:
    """Return the fork's settings; the defaults, in no session, while there is no row."""
    row = db.session.get(CampaignSettings, 1)
    return row or CampaignSettings(id=1, **asdict(SettingsDetails()))


def edit_settings(details: SettingsDetails, by: Actor) -> CampaignSettings:
    """Change the settings; flushes. Raises InvalidCampaignSettings."""
    if details.time_zone not in available_timezones():
        raise InvalidCampaignSettings("A time zone has a name like Europe/Berlin or UTC.")
    wanted = asdict(details) | {"embed_origins": _origins(details.embed_origins)}
    # Two who save the first settings at once: the second waits here and finds the row.
    defaults = {"id": 1, **asdict(SettingsDetails())}
    db.session.execute(insert(CampaignSettings).values(defaults).on_conflict_do_nothing())
    row = db.session.get_one(CampaignSettings, 1, with_for_update=True, populate_existing=True)
    changed = [field for field, value in wanted.items() if getattr(row, field) != value]
    for field in changed:
        setattr(row, field, wanted[field])
    if changed:
        record(by, "campaign_settings.edited", "campaign_settings:1", fields=changed)
    db.session.flush()
    return row


def _origins(text: str) -> str:
    """Return the origins (RFC 6454) one a line, each once, as a browser writes them."""
    found = dict.fromkeys(_origin(line.strip()) for line in text.splitlines() if line.strip())
    if len(found) > MAX_ORIGINS:
        raise InvalidCampaignSettings(f"Name at most {MAX_ORIGINS} sites.")
    return "\n".join(found)


def _origin(text: str) -> str:
    refusal = InvalidCampaignSettings(
        f"“{text[:80]}” is no site's address: write https://example.com, one on each line."
    )
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except ValueError:
        raise refusal from None
    beyond = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if not HOST.fullmatch(host) or beyond or parts.scheme not in ("https", "http"):
        raise refusal
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")
