"""For good, or for now: what servers say when they refuse."""

import pytest

from webapp.messaging.bounces import judge, judge_reply
from webapp.messaging.models import BounceKind

FOR_GOOD = [
    "550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown",
    "550-5.1.1 The email account that you tried to reach does not exist",
    "550 5.1.1 Rejected",
    "host relay.spamfilter.example said: 550 5.1.1 No",
    "556 5.1.10 Recipient address has null MX",
    "550 5.1.2 Bad destination system address",
    "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
    "550 5.5.0 Requested action not taken: mailbox unavailable",
    "550 Requested action not taken: mailbox unavailable",
    "551 User not local",
    "553 sorry, that domain isn't in my list of allowed rcpthosts",
    "554 delivery error: dd This user doesn't have a yahoo.example account (bob@x.example) [0]",
    "554 30 Sorry, your message cannot be delivered. This mailbox is disabled (554.30).",
    "550 unknown user account",
    "550 No Such User Here",
]
FOR_NOW = [
    "552 5.2.2 Mailbox full",
    "550 5.1.1 Mailbox is over quota",
    "452 4.2.2 The email account that you tried to reach is over quota",
    "450 4.2.1 The user you are trying to contact is receiving mail too quickly",
    "554 5.4.6 Too many hops",
    "550 5.4.1 No answer from host",
    "",
]
NOT_ABOUT_THE_ADDRESS = [
    "500 Line too long",
    "421 4.7.0 Try again later, closing connection",
    "552 Message size exceeds fixed maximum message size",
    "550 5.2.3 Message too long",
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.example",
    "550 5.7.26 Unauthenticated email from shop.example is not accepted due to DMARC policy.",
    "550 5.7.1 Requested action not taken: mailbox unavailable; on our block list (S3140)",
    "554 Message rejected due to spam content",
    "550 Rejected for policy reasons",
    "554 Transaction failed: virus found",
    "550 5.6.0 Lone CR or LF in body",
    "553 5.1.8 Sender address domain does not resolve in DNS, sender rejected",
    "550 relay not permitted",
    "541 Blocked by reputation",
]


@pytest.mark.parametrize("reply", FOR_GOOD)
def test_no_such_mailbox_is_for_good(reply: str) -> None:
    assert judge_reply(reply).kind is BounceKind.HARD


@pytest.mark.parametrize("reply", FOR_NOW)
def test_a_full_box_or_a_long_way_is_for_now(reply: str) -> None:
    assert judge_reply(reply).kind is BounceKind.SOFT
    assert judge_reply(reply).blames_address


@pytest.mark.parametrize("reply", NOT_ABOUT_THE_ADDRESS)
def test_what_we_sent_is_not_the_addresss_fault(reply: str) -> None:
    judged = judge_reply(reply)
    assert (judged.kind, judged.blames_address) == (BounceKind.SOFT, False)


def test_the_more_telling_status_counts() -> None:
    assert judge("5.0.0", "smtp; 550 5.1.1 No").status == "5.1.1"
    assert judge("5.1.1 (bad mailbox)", "550 no").status == "5.1.1"
    assert judge("4.4.7", "550 5.1.1 User unknown").kind is BounceKind.SOFT
