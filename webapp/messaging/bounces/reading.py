"""One door for all formats, through which no exception comes out."""

from collections.abc import Callable

from webapp.messaging.bounces.arf import read_arf
from webapp.messaging.bounces.automatic import is_automatic
from webapp.messaging.bounces.dsn import read_dsn
from webapp.messaging.bounces.message import TooDeep, parse
from webapp.messaging.bounces.plain import read_daemon, read_plain
from webapp.messaging.bounces.report import Reading, key_of
from webapp.messaging.bounces.sendgrid import read_sendgrid
from webapp.messaging.bounces.ses import read_ses
from webapp.messaging.models import ReportSource

NOT_KNOWN = "This message is no bounce and no complaint that is known here."
TOO_DEEP = "This message has more parts than any bounce; it was not taken apart."


def read(source: ReportSource, content: bytes) -> Reading:
    """Return what a report says; whatever is wrong with it becomes its ``trouble``."""
    try:
        return READERS[source](content)
    except TooDeep:
        return Reading(trouble=TOO_DEEP)
    except Exception as error:
        # Strangers write these. What breaks the parser is shown to people, and stops nothing.
        return Reading(trouble=f"It can't be taken apart ({type(error).__name__}).")


def read_message(content: bytes) -> Reading:
    """Return what came back as a mail: a bounce, a complaint, or an answer that is neither."""
    message, key = parse(content), key_of(content)
    for reader in (read_dsn, read_arf, read_plain):
        found = reader(message, key)
        if found is not None:
            return found
    if is_automatic(message):
        return Reading()
    return read_daemon(message, key) or Reading(trouble=NOT_KNOWN)


READERS: dict[ReportSource, Callable[[bytes], Reading]] = {
    ReportSource.MAIL: read_message,
    ReportSource.SES: read_ses,
    ReportSource.SENDGRID: read_sendgrid,
}
