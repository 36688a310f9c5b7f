"""Remote pictures become files of our own: claimed, fetched, checked, made smaller, kept.

A picture's tries are spread by ``attempts`` and ``fetched_at``, which is the time of the last try
until one succeeds. A claim counts as a try, so that a worker that dies with it costs one and
nothing is fetched by two at once.
"""

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy import ColumnElement, or_, select, update

from webapp.catalog.errors import NoSuchPicture, UnusablePicture
from webapp.catalog.models import Picture, PictureState
from webapp.core import clock
from webapp.core.db import db

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MAX_PIXELS = 40_000_000
MAX_SIZE = (1600, 4800)
QUALITY = 82
# The wait after the first, second ... try; after the last one a person decides.
WAITS = (
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
)
MAX_ATTEMPTS = len(WAITS) + 1
LOST = "The worker was lost while fetching it."


@dataclass(frozen=True, slots=True)
class Claim:
    """A picture that is ours to fetch until the wait after this try is over."""

    picture_id: int
    source_url: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StoredPicture:
    file_name: str
    width: int
    height: int


def claim_pictures(limit: int) -> list[Claim]:
    """Take up to ``limit`` pictures that are due. Commit before fetching them."""
    now = clock.now()
    _give_up_lost(now)
    due = (
        select(Picture.id)
        .where(Picture.state == PictureState.PENDING, _is_due(now))
        .order_by(Picture.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = db.session.execute(
        update(Picture)
        .where(Picture.id.in_(due))
        .values(attempts=Picture.attempts + 1, fetched_at=now)
        .returning(Picture.id, Picture.source_url, Picture.attempts)
        .execution_options(synchronize_session=False)
    )
    return sorted((Claim(*row) for row in rows), key=lambda claim: claim.picture_id)


def _is_due(now: datetime) -> ColumnElement[bool]:
    waited = [
        (Picture.attempts == tries) & (Picture.fetched_at <= now - wait)
        for tries, wait in enumerate(WAITS, start=1)
    ]
    return or_(Picture.attempts == 0, *waited)


def _give_up_lost(now: datetime) -> None:
    db.session.execute(
        update(Picture)
        .where(
            Picture.state == PictureState.PENDING,
            Picture.attempts >= MAX_ATTEMPTS,
            Picture.fetched_at <= now - WAITS[0],
        )
        .values(state=PictureState.FAILED, error=LOST)
        .execution_options(synchronize_session=False)
    )


def store_picture(content: bytes, folder: Path) -> StoredPicture:
    """Write ``content`` as WebP under a name that follows from it. Raises UnusablePicture."""
    try:
        encoded, width, height = _encode(content)
    except UnidentifiedImageError:
        raise UnusablePicture("It isn't a JPEG, PNG, WebP or GIF picture.") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UnusablePicture(f"It can't be read: {error}.") from None
    file_name = f"{hashlib.sha256(encoded).hexdigest()[:40]}.webp"
    _write_atomically(folder / file_name, encoded)
    return StoredPicture(file_name, width, height)


def _encode(content: bytes) -> tuple[bytes, int, int]:
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise UnusablePicture(
                f"It has {opened.width} x {opened.height} points; "
                f"at most {MAX_PIXELS // 1_000_000} million are taken."
            )
        # JPEG can be read at a fraction of its size, which saves memory before anything else.
        opened.draft("RGB", MAX_SIZE)
        upright = ImageOps.exif_transpose(opened)
        see_through = upright.has_transparency_data
        picture = upright.convert("RGBA" if see_through else "RGB")
    picture.thumbnail(MAX_SIZE)
    # Nothing of the camera or its place goes along.
    picture.info.clear()
    output = io.BytesIO()
    picture.save(output, "WEBP", quality=QUALITY)
    return output.getvalue(), picture.width, picture.height


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def mark_fetched(claim: Claim, stored: StoredPicture) -> None:
    """Note where the picture is now."""
    _close(
        claim,
        state=PictureState.FETCHED,
        file_name=stored.file_name,
        width=stored.width,
        height=stored.height,
        error=None,
        fetched_at=clock.now(),
    )


def mark_failed(claim: Claim, reason: str) -> None:
    """Note why this try failed; the fifth was the last."""
    over = claim.attempt >= MAX_ATTEMPTS
    _close(claim, state=PictureState.FAILED if over else PictureState.PENDING, error=reason[:500])


def _close(claim: Claim, **values: object) -> None:
    # If our claim ran out and another worker has the picture, it is no longer ours to close.
    db.session.execute(
        update(Picture)
        .where(
            Picture.id == claim.picture_id,
            Picture.state == PictureState.PENDING,
            Picture.attempts == claim.attempt,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def fetch_again(picture_id: int) -> Picture:
    """Give a failed picture a fresh set of tries. Ring ``jobs.catalog.fetch_pictures`` after.

    Raises NoSuchPicture.
    """
    picture = db.session.get(Picture, picture_id, with_for_update=True)
    if picture is None:
        raise NoSuchPicture(f"There is no picture {picture_id}.")
    if picture.state is PictureState.FAILED:
        picture.state = PictureState.PENDING
        picture.attempts = 0
        picture.error = None
        picture.fetched_at = None
        db.session.flush()
    return picture
