"""Bounces of mail servers that don't keep to RFC 3464: qmail, old Exims and Exchanges, and others.

Their words are for people, so this is best effort; what isn't recognised is left alone.
"""

import re

from webapp.messaging.bounces.judging import find_status, judge
from webapp.messaging.bounces.message import Mail, body_of, value, values
from webapp.messaging.bounces.report import MOST_REPORTS, Reading, Report, clean, moment
from webapp.messaging.bounces.returned import codes_in_copy

# https://cr.yp.to/proto/qsbmf.txt
QMAIL = "Hi. This is the"
EXCHANGE = re.compile(
    r"did not reach (some or all of the intended|the following) recipient|"
    r"following recipient\(?s?\)? (could not|cannot) be reached",
    re.IGNORECASE,
)
_COPY = re.compile(
    r"^-{3,}.{0,60}(below this line|copy of (the|your) message|original message|returned message)",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"[^\s<>;,:()\"'\[\]]{1,200}@[^\s<>;,:()\"'\[\]]{1,255}")
_DAEMON = re.compile(r"mailer-daemon|postmaster|mail delivery (sub)?system", re.IGNORECASE)
_SUBJECT = re.compile(
    r"undeliver|delivery (status|failure)|fail(ed|ure)|returned mail|unzustellbar|non remis",
    re.IGNORECASE,
)


def read_plain(message: Mail, key: str) -> Reading | None:
    """Return what a bounce in a format of its own says; None when it is not known as one."""
    text = body_of(message).replace("\r\n", "\n")
    cut = _COPY.search(text)
    words, copy = (text[: cut.start()], text[cut.start() :]) if cut else (text, text)
    told = _tellings(message, words)
    if not told:
        return None
    codes = codes_in_copy(message, copy)
    date = moment(value(message, "Date"))
    reports = []
    for number, (email, reason) in enumerate(told[:MOST_REPORTS]):
        said = clean(reason)
        judged = judge(find_status(said), said)
        reports.append(
            Report(judged.kind, f"{key}:{number}", codes, email, judged.status, said, date)
        )
    return Reading(tuple(reports))


def _tellings(message: Mail, words: str) -> list[tuple[str | None, str]]:
    """Return the address and the reason of every failure that the words tell of."""
    if words.lstrip().startswith(QMAIL):
        return _qmail(words)
    if failed := values(message, "X-Failed-Recipients"):
        return _exim(failed, words)
    if EXCHANGE.search(words):
        return _exchange(words)
    return []


def _qmail(words: str) -> list[tuple[str | None, str]]:
    """A paragraph that begins with ``<address>:`` is about that recipient."""
    found = re.findall(r"^<([^<>\n]{3,320})>:\n((?:[^\n]+\n?)*)", words, re.MULTILINE)
    return [(clean(email) or None, reason) for email, reason in found]


def _exim(failed: list[str], words: str) -> list[tuple[str | None, str]]:
    """The header names them; the text has each on a line of its own and the reason below it."""
    addresses = [email for line in failed for email in _ADDRESS.findall(line)]
    return [(email, _below(email, words)) for email in dict.fromkeys(addresses)]


def _below(email: str, words: str) -> str:
    _, found, rest = words.partition(f"  {email}\n")
    return re.split(r"\n[ \t]*\n", rest, maxsplit=1)[0] if found else words


def _exchange(words: str) -> list[tuple[str | None, str]]:
    """``bob@example.com on ...`` and then the reason, its status as ``#5.1.1``."""
    _, _, rest = words.partition("ecipient")
    found = _ADDRESS.search(rest)
    return [(found.group().strip("'") if found else None, rest.replace("#", " "))]


def read_daemon(message: Mail, key: str) -> Reading | None:
    """Return what some other mail server says, if it surely speaks of a mail of ours that failed.

    It must come from a mail system, call itself a failure, name a status, and return our mail.
    """
    sent_by = " ".join(values(message, "From", "Return-Path"))
    if not _DAEMON.search(sent_by) or not _SUBJECT.search(value(message, "Subject")):
        return None
    text = body_of(message).replace("\r\n", "\n")
    codes, status = codes_in_copy(message, text), find_status(text)
    if not codes or not status.startswith("5"):
        return None
    at = text.index(status)
    said = clean(text[max(at - 80, 0) : at + 200])
    judged = judge(status, said)
    email = _ADDRESS.search(text)
    address = email.group() if email else None
    date = moment(value(message, "Date"))
    return Reading((Report(judged.kind, f"{key}:0", codes, address, judged.status, said, date),))
