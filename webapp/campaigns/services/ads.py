"""Advertisements elsewhere: each has a code, and a page of this shop that it leads to."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from sqlalchemy.dialects.postgresql import insert

from webapp.campaigns.errors import AdCodeTaken, InvalidAd, NoSuchAd
from webapp.campaigns.models import Ad
from webapp.campaigns.places import is_page
from webapp.core.audit import Actor, record
from webapp.core.db import db

CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_NAME, MAX_LANDING = 100, 500


@dataclass(frozen=True, slots=True)
class AdDetails:
    """What may change about an advertisement. ``landing`` is a path of this site."""

    name: str
    landing: str = "/"
    active: bool = True


def create_ad(code: str, details: AdDetails, by: Actor) -> Ad:
    """Make an advertisement; flushes. Raises InvalidAd or AdCodeTaken.

    The code is kept in small letters: people type it off paper. It never changes, as what was
    recorded under it would lose its name.
    """
    code = code.strip().lower()
    if not CODE.fullmatch(code):
        raise InvalidAd(
            "A code has up to 64 letters, digits, - and _, and begins with a letter or a digit."
        )
    checked = _check(details)
    values = {
        "code": code,
        "name": checked.name,
        "landing": checked.landing,
        "active": checked.active,
    }
    statement = insert(Ad).values(values).on_conflict_do_nothing(index_elements=["code"])
    ad: Ad | None = db.session.scalar(statement.returning(Ad))
    if ad is None:
        raise AdCodeTaken(code)
    record(by, "ad.created", f"ad:{ad.id}", landing=ad.landing)
    db.session.flush()
    return ad


def edit_ad(ad_id: int, details: AdDetails, by: Actor) -> Ad:
    """Change an advertisement; flushes. Raises NoSuchAd or InvalidAd."""
    ad = db.session.get(Ad, ad_id, with_for_update=True, populate_existing=True)
    if ad is None:
        raise NoSuchAd
    checked = _check(details)
    wanted = {"name": checked.name, "landing": checked.landing, "active": checked.active}
    changed = [field for field, value in wanted.items() if getattr(ad, field) != value]
    for field in changed:
        setattr(ad, field, wanted[field])
    if changed:
        record(by, "ad.edited", f"ad:{ad.id}", fields=changed)
    db.session.flush()
    return ad


def address_of(ad: Ad) -> str:
    """Return where the advertisement leads, with its code; the front page if it can't."""
    if not ad.active or not _is_path_here(ad.landing):
        return "/"
    parts = urlsplit(ad.landing)
    others = [part for part in parts.query.split("&") if part and not _is_code(part)]
    query = "&".join([*others, f"ad={ad.code}"])
    return urlunsplit(("", "", parts.path, query, parts.fragment))


def _is_code(part: str) -> bool:
    return any(name == "ad" for name, _ in parse_qsl(part, keep_blank_values=True))


def _check(details: AdDetails) -> AdDetails:
    name, landing = details.name.strip(), details.landing.strip() or "/"
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidAd(f"Give the advertisement a name of up to {MAX_NAME} characters.")
    if len(landing) > MAX_LANDING or not _is_path_here(landing):
        raise InvalidAd("The landing page is a path of this shop, like /products.")
    path = urlsplit(landing).path
    if path.startswith(("/a/", "/admin")):
        raise InvalidAd("An advertisement leads to a page for customers.")
    if not is_page(path):
        raise InvalidAd(f"There is no page at {path} to lead to.")
    return AdDetails(name, landing, details.active)


def _is_path_here(landing: str) -> bool:
    """Browsers read a backslash as a slash and skip control characters: neither may be there."""
    if not landing.startswith("/") or landing.startswith("//") or "\\" in landing:
        return False
    if not landing.isprintable() or " " in landing:
        return False
    try:
        parts = urlsplit(landing)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc
