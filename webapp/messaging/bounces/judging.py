"""Says for good or for now: RFC 3463's status first, then what mail servers are known to write.

RFC 3463 tells what a status means (x.1 the address, x.2 the mailbox, x.3 and x.4 the way there,
x.6 the content, x.7 policy). Class 5 alone is not enough: a full mailbox, a message too long and a
message taken for spam are no reason never to write again.
"""

import re
from dataclasses import dataclass

from webapp.messaging.models import BounceKind

POLICY = "5.7.0"
FULL = "5.2.2"
# Statuses about the message (too long, its content), its sender, or a policy; for SQL too.
NOT_THE_ADDRESS = r"^[245]\.(1\.[78]$|2\.3$|3\.4$|[67]\.)"
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.])([45]\d\d)(?=[ \-#:]|$)")

# RFC 3463 and IANA's registry of enhanced status codes: no such mailbox (1.1, 1.3, 1.10), no such
# domain (1.2, 1.10 by RFC 7505), moved away (1.6), disabled (2.1). Of the rest, Postfix says 4.4
# for a domain that isn't in DNS and Exchange Online 4.310.
_FOR_GOOD = frozenset(
    {"1.0", "1.1", "1.2", "1.3", "1.4", "1.6", "1.10", "2.1", "4.4", "4.310", "1.351"}
)
# Statuses that speak of nothing in particular, so that the words and the reply count.
_VAGUE = frozenset({"", "0.0", "3.0", "5.0", "2.0"})
# RFC 5321, 4.2.3: mailbox unavailable, user not local, mailbox name not allowed.
_MAILBOX_REPLIES = frozenset({"550", "551", "553"})


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_FULL_WORDS = _any(
    r"(mail)?box (is )?(full|over ?quota)",
    r"(over|exceed\w*|out of) (the |its |their |his |allowed )?(\w+ )?(quota|storage)",
    r"quota (has been )?(exceeded|is full)",
    r"overquota|insufficient (disk )?(system )?storage",
)
_UNKNOWN_WORDS = _any(
    r"(user|recipient|mailbox|account|addressee) (is )?unknown|unknown (user|recipient|mailbox)",
    r"unknown local[- ]part|unknown address|address unknown",
    r"no such (user|recipient|mailbox|person|account|address|domain|host)",
    r"no mailbox (here|by)|(n.t|not) have an? \S{1,60} account",
    r"(user|recipient|mailbox|account|address|domain)\b.{0,80}?(does ?n.t|does not|do not) exist",
    r"(user|recipient|mailbox|account|address)\b.{0,60}?(not found|couldn.t be found|not listed)",
    r"(mailbox|account|user|recipient)\b.{0,40}?(disabled|deactivated|inactive|no longer|closed)",
    r"(invalid|bad|nonexistent|non-existent) (recipient|mailbox|destination mailbox)",
    r"recipient ?not ?found|recipnotfound|unrouteable|unroutable",
    r"host or domain name not found|domain name .{0,20}not found|null mx",
    # Exchange Online for an address its directory doesn't hold.
    r"recipient address rejected: access denied",
)
_POLICY_WORDS = _any(
    r"spam|spamhaus|barracuda|blocked|block ?list|black ?list|\brbl\b|dnsbl|reputation",
    r"polic(y|ies)|dmarc|\bspf\b|dkim|unauthenticated|authentication|unsolicited|bulk mail",
    r"virus|malware|phish|content|message (was )?(rejected|refused|not accepted)|rejected message",
    r"relay|sender|too (large|big|long)|\bsize\b|rate limit|too many|greylist|grey-list",
    r"access denied|not (authori[sz]ed|permitted|allowed)|administrative|prohibit",
)
# "host relay.example.com said" says nothing of relaying.
_NAMES = re.compile(r"\S*@\S*|\b[\w-]+(\.[\w-]+)+\b")


@dataclass(frozen=True, slots=True)
class Judgement:
    """``status`` is the one that fits: a server's own, or ours where it only said it in words."""

    kind: BounceKind
    status: str = ""

    @property
    def blames_address(self) -> bool:
        """Whether it speaks of the mailbox rather than of what we sent or who we are."""
        return re.search(NOT_THE_ADDRESS, self.status) is None


def judge(status: str, diagnostic: str) -> Judgement:
    """Return what a mail that failed says of its address, by its status and the server's words."""
    best = _best_status(status, diagnostic)
    if best.startswith("4") or (not best and _reply(diagnostic).startswith("4")):
        return Judgement(BounceKind.SOFT, best)
    about = best.partition(".")[2]
    if about == "2.2" or _FULL_WORDS.search(diagnostic):
        return Judgement(BounceKind.SOFT, best if about == "2.2" else FULL)
    if re.search(NOT_THE_ADDRESS, best):
        return Judgement(BounceKind.SOFT, best)
    if _UNKNOWN_WORDS.search(diagnostic):
        return Judgement(BounceKind.HARD, best)
    if (about in _VAGUE or about in _FOR_GOOD) and _POLICY_WORDS.search(
        _NAMES.sub(" ", diagnostic)
    ):
        return Judgement(BounceKind.SOFT, POLICY)
    hard = about in _FOR_GOOD or (about in _VAGUE and _reply(diagnostic) in _MAILBOX_REPLIES)
    return Judgement(BounceKind.HARD if hard else BounceKind.SOFT, best)


def judge_reply(reply: str) -> Judgement:
    """Judge a server's own words at once ("550 5.1.1 User unknown")."""
    return judge("", reply)


def find_status(text: str) -> str:
    """Return the first enhanced status in a text, "" if there is none."""
    found = _STATUS.search(text)
    return found.group() if found else ""


def _best_status(status: str, diagnostic: str) -> str:
    """Return the more telling one: a relay says 5.0.0 where the words it repeats say 5.1.1."""
    given, said = find_status(status), find_status(diagnostic)
    if said and given.partition(".")[2] in _VAGUE and said[:1] in (given[:1] or said[:1]):
        return said
    return given


def _reply(diagnostic: str) -> str:
    found = _REPLY.search(diagnostic)
    return found.group(1) if found else ""
