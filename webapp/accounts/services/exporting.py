"""A copy of everything we know about somebody: asked for, written, handed over, deleted."""

import json
import os
import time
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import IO

from flask import current_app
from sqlalchemy import select

from webapp.accounts.errors import ExportUnderWay, NoSuchExport, TooManyExports
from webapp.accounts.models import DataExport, ExportState, User
from webapp.accounts.queries.privacy import identify, list_asked_since
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db
from webapp.core.privacy import Chapter, Person
from webapp.core.queue import Queue, enqueue
from webapp.core.shop import get_shop
from webapp.core.signing import ExpiredToken, sign, unsign
from webapp.core.state import current_config, current_fork
from webapp.messaging.services import post

PURPOSE = "export"
EXPORT = "jobs.privacy.export"
KEPT = timedelta(days=7)
DAY = timedelta(days=1)
MOST_A_DAY = 3
# What a killed worker left half-written is surely nobody's work any more.
LEFT_BEHIND = timedelta(hours=6)


def folder() -> Path:
    """Return where copies are kept: outside of everything that is served."""
    return current_fork().upload_folder.resolve() / "exports"


def ask_for_copy(user: User, by: Actor) -> DataExport:
    """Note the wish and promise the work; flushes. Raises ExportUnderWay or TooManyExports."""
    # If the user clicks twice, the second waits here and finds the first one's wish.
    db.session.refresh(user, with_for_update=True)
    states = list_asked_since(user.id, clock.now() - DAY)
    if ExportState.REQUESTED in states:
        raise ExportUnderWay
    if len(states) >= MOST_A_DAY:
        raise TooManyExports(MOST_A_DAY)
    export = DataExport(user_id=user.id)
    db.session.add(export)
    db.session.flush()
    record(by, "export.requested", f"export:{export.id}", user_id=user.id)
    subject = f"user:{user.id}"
    enqueue(EXPORT, str(export.id), queue=Queue.BULK, subject=subject, key=f"export:{export.id}")
    return export


def is_under_way(export: DataExport) -> bool:
    """Say whether the copy is being made; after a day without it, another may be asked for."""
    return export.state is ExportState.REQUESTED and export.created_at > clock.now() - DAY


def find_open_export(export_id: uuid.UUID) -> Person | None:
    """Return whose copy is still to be made; None when it is done, deleted, or they are gone."""
    export = db.session.get(DataExport, export_id)
    if export is None or export.state is not ExportState.REQUESTED:
        return None
    user = db.session.get_one(User, export.user_id)
    return None if user.erased_at is not None else identify(user)


def write_copy(export_id: uuid.UUID, chapters: Iterable[Chapter]) -> Path:
    """Write the ZIP beside its place and return where; each try has a file of its own."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder() / f"{export_id}.{uuid.uuid4().hex}.part"
    told: list[Chapter] = []
    try:
        with (
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for chapter in chapters:
                with archive.open(f"{chapter.name}.json", "w", force_zip64=True) as sheet:
                    _write_sheet(sheet, chapter)
                told.append(chapter)
            archive.writestr("README.txt", _describe(told))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _write_sheet(sheet: IO[bytes], chapter: Chapter) -> None:
    if isinstance(chapter.content, dict):
        sheet.write(
            json.dumps(chapter.content, ensure_ascii=False, indent=2, default=_plain).encode()
            + b"\n"
        )
        return
    # A row a line: the encoder that indents takes ten times as long.
    sheet.write(b"[")
    for number, row in enumerate(chapter.content):
        line = json.dumps(row, ensure_ascii=False, default=_plain)
        sheet.write((b",\n" if number else b"\n") + line.encode())
    sheet.write(b"\n]\n")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else str(value)


def _describe(chapters: list[Chapter]) -> str:
    template = current_app.jinja_env.get_template("accounts/data_readme.txt")
    return template.render(chapters=chapters, shop=get_shop(), at=clock.now())


def finish_copy(export_id: uuid.UUID, written: Path) -> bool:
    """Put the file in its place and post the mail; flushes. False if it isn't wanted any more.

    Under the row's lock: of two workers one finishes, and an erasure finds the file or keeps it
    from coming to be. One killed before the commit leaves a file that the next try replaces.
    """
    export = db.session.get(DataExport, export_id, with_for_update=True, populate_existing=True)
    if export is None or export.state is not ExportState.REQUESTED:
        written.unlink(missing_ok=True)
        return False
    export.file_name = f"{export.id}.zip"
    export.size = written.stat().st_size
    written.replace(folder() / export.file_name)
    export.state = ExportState.READY
    export.ready_at = clock.now()
    export.expires_at = export.ready_at + KEPT
    db.session.flush()
    _tell(export)
    return True


def _tell(export: DataExport) -> None:
    user = db.session.get_one(User, export.user_id)
    if user.email_verified_at is None:
        return  # the mailbox may be somebody else's; the page of the account has the link too
    context = {"link": link_to(export), "expires_at": export.expires_at, "days": KEPT.days}
    post(
        "export_ready",
        user.email,
        context,
        dedupe_key=f"export_ready:{export.id}",
        subject_ref=f"user:{user.id}",
        secret=True,
    )


def token_of(export: DataExport) -> str:
    return sign(PURPOSE, str(export.id))


def link_to(export: DataExport) -> str:
    return f"{current_config().base_url.rstrip('/')}/export/{token_of(export)}"


def open_copy(token: str, user: User, by: Actor) -> DataExport:
    """Return the copy that the link opens, noting that it was fetched.

    It opens for its owner alone. Raises InvalidToken, NoSuchExport or ExpiredToken.
    """
    export = db.session.get(DataExport, uuid.UUID(unsign(PURPOSE, token)))
    if export is None or export.user_id != user.id:
        raise NoSuchExport
    over = export.expires_at is None or export.expires_at <= clock.now()
    if over or export.state is not ExportState.READY:
        raise ExpiredToken
    record(by, "export.downloaded", f"export:{export.id}", user_id=user.id)
    return export


def expire_copies(limit: int = 500) -> int:
    """Mark copies past their time as deleted; flushes. The files go after the commit."""
    over = (
        select(DataExport)
        .where(DataExport.state == ExportState.READY, DataExport.expires_at <= clock.now())
        .order_by(DataExport.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    expired = db.session.scalars(over).all()
    for export in expired:
        export.state = ExportState.DELETED
        export.file_name = None
    db.session.flush()
    return len(expired)


def remove_strays() -> int:
    """Delete every file that no copy stands for, whoever was killed before doing it."""
    removed = 0
    for path in list(_strays()):
        path.unlink(missing_ok=True)
        removed += 1
    return removed


def _strays() -> Iterator[Path]:
    found = list(folder().iterdir()) if folder().is_dir() else []
    # Looked up after the files: one that came to be meanwhile isn't among them.
    ready = DataExport.file_name.in_([path.name for path in found])
    known = set(db.session.scalars(select(DataExport.file_name).where(ready)))
    asked = {
        str(export_id)
        for export_id in db.session.scalars(
            select(DataExport.id).where(DataExport.state == ExportState.REQUESTED)
        )
    }
    for path in found:
        at_work = path.name.partition(".")[0] in asked
        old = time.time() - path.stat().st_mtime > LEFT_BEHIND.total_seconds()
        if path.name not in known and (old or not at_work):
            yield path
