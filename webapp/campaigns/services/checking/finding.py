"""What a check says about a mail: how bad it is, and a sentence about what to do."""

from dataclasses import dataclass
from enum import StrEnum

from webapp.campaigns.models import Email, EmailVariant
from webapp.campaigns.services.compiling import Compiled


class Level(StrEnum):
    """An ``error`` keeps a mail from being ready; a ``hint`` is what spam filters may not like."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` names the check; ``sentence`` says what to do. ``variant`` is 0 for the whole."""

    level: Level
    code: str
    sentence: str
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """One variant before the checks. ``compiled`` is None where its body can't be read."""

    email: Email
    variant: EmailVariant
    compiled: Compiled | None


def error(code: str, sentence: str) -> Finding:
    return Finding(Level.ERROR, code, sentence)


def warning(code: str, sentence: str) -> Finding:
    return Finding(Level.WARNING, code, sentence)


def hint(code: str, sentence: str) -> Finding:
    return Finding(Level.HINT, code, sentence)
