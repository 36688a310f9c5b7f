"""The doors that lead to no mail server: into a folder, and to nowhere."""

import os
from collections.abc import Callable
from pathlib import Path

from webapp.messaging.gateway.envelope import Envelope, Handover, Outcome


class NullGateway:
    """Takes every mail and keeps none: for load tests of what comes before."""

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        if not before_end():
            return Handover(Outcome.WITHDRAWN)
        return Handover(Outcome.ACCEPTED, f"250 {envelope.code} discarded")


class FileGateway:
    """Writes each mail as ``<code>.eml``; a file is whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        target = self.folder / f"{envelope.code}.eml"
        draft = target.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(envelope.content)
        except OSError as error:
            return Handover(Outcome.DEFERRED, str(error.strerror))
        if not before_end():
            draft.unlink(missing_ok=True)
            return Handover(Outcome.WITHDRAWN)
        try:
            draft.replace(target)
        except OSError as error:
            return Handover(Outcome.IN_DOUBT, str(error.strerror))
        return Handover(Outcome.ACCEPTED, f"250 kept as {target.name}")
