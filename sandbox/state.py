"""The demo's memory between runs: its secrets, ports, and what was already set up."""

import json
import secrets
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sandbox.processes import SandboxError, write_atomically

SPACE_NEEDED = 300 << 20


@dataclass(slots=True)
class Settings:
    """What stays the same from run to run of one state folder."""

    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    staff_password: str = field(default_factory=lambda: "Demo-" + secrets.token_urlsafe(9))
    stripe_key: str = field(default_factory=lambda: "sk_test_" + secrets.token_hex(16))
    webhook_secret: str = field(default_factory=lambda: "whsec_" + secrets.token_hex(16))
    ports: dict[str, int] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)


class State:
    """A folder; `settings.json` in it also marks it as the demo's, which --fresh may delete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "settings.json"
        self.settings = Settings()

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def delete(self) -> None:
        """Start over. SandboxError if the folder holds something that isn't ours."""
        if not self.folder.exists():
            return
        if any(self.folder.iterdir()) and not self.file.exists():
            raise SandboxError(
                f"{self.folder} isn't a demo's folder, so --fresh won't delete it. "
                "Choose another with --state."
            )
        for entry in self.folder.iterdir():
            if entry.name == "lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def open(self) -> None:
        """Read the settings, or make new ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < SPACE_NEEDED:
            raise SandboxError(
                f"The disk that holds {self.folder} is full: {free >> 20} MB are free and the "
                f"demo needs about {SPACE_NEEDED >> 20} MB."
            )
        if self.file.exists():
            try:
                self.settings = Settings(**json.loads(self.file.read_text()))
            except (ValueError, TypeError):
                raise SandboxError(
                    f"{self.file} can't be read. `./dev demo --fresh` starts over."
                ) from None
        self.save()

    def set_old_logs_aside(self) -> None:
        """Logs are of one run; those of the run before are kept in `previous`."""
        previous = self.logs / "previous"
        shutil.rmtree(previous, ignore_errors=True)
        previous.mkdir(parents=True)
        for log in self.logs.glob("*.log"):
            log.rename(previous / log.name)

    def save(self) -> None:
        write_atomically(self.file, json.dumps(asdict(self.settings), indent=2))
