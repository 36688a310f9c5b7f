"""The catalogue's work behind the scenes: fetching the pictures an import named."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from webapp.catalog.errors import UnusablePicture
from webapp.catalog.services import pictures
from webapp.catalog.services.downloading import download
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.queue import Queue, ring
from webapp.core.state import current_config, current_fork

logger = logging.getLogger(__name__)

BATCH = 8
AT_ONCE = 4
SECONDS = 60


def fetch_pictures() -> None:
    """Fetch the pictures that are due, for about a minute; then let other jobs have the worker."""
    until = time.monotonic() + SECONDS
    while claims := _claim():
        _fetch(claims)
        if time.monotonic() > until:
            ring("jobs.catalog.fetch_pictures", queue=Queue.BULK)
            return


def _claim() -> list[pictures.Claim]:
    claims = pictures.claim_pictures(BATCH)
    db.session.commit()
    return claims


def _fetch(claims: list[pictures.Claim]) -> None:
    allow_private = current_config().app_env is not Env.PRODUCTION
    fetch = partial(_download, allow_private=allow_private)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        # Threads wait for servers; pictures are unpacked one by one, as a big one fills memory.
        for claim, content in zip(claims, threads.map(fetch, claims), strict=True):
            _keep(claim, content)


def _download(claim: pictures.Claim, *, allow_private: bool) -> bytes | UnusablePicture:
    try:
        return download(claim.source_url, allow_private=allow_private)
    except UnusablePicture as error:
        return error


def _keep(claim: pictures.Claim, content: bytes | UnusablePicture) -> None:
    try:
        if isinstance(content, UnusablePicture):
            raise content
        folder = current_fork().upload_folder / "pictures"
        pictures.mark_fetched(claim, pictures.store_picture(content, folder))
    except UnusablePicture as error:
        logger.info(
            "picture not fetched", extra={"picture": claim.picture_id, "why": error.sentence}
        )
        pictures.mark_failed(claim, error.sentence)
    db.session.commit()
