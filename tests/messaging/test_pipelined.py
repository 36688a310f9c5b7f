"""Many messages over one connection: every reply belongs to its recipient."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.messaging.sink import HANG_UP, TAKE_AND_HANG_UP, Sink
from webapp.messaging.gateway import Envelope, Handover, Outcome, PipelinedGateway, Result
from webapp.messaging.gateway.servers import read_server

ACCEPTED, DEFERRED, REFUSED, IN_DOUBT = (
    Outcome.ACCEPTED,
    Outcome.DEFERRED,
    Outcome.REFUSED,
    Outcome.IN_DOUBT,
)


@dataclass
class Begun:
    """A journal that keeps the order in which ends were about to leave."""

    indexes: list[int] = field(default_factory=list)

    def begin(self, index: int) -> None:
        self.indexes.append(index)


@pytest.fixture(params=["pipelined", "in turn"])
def server(request: pytest.FixtureRequest) -> Iterator[Sink]:
    extensions = ("PIPELINING",) if request.param == "pipelined" else ()
    sink = Sink(extensions=extensions).start()
    yield sink
    sink.stop()


def gateway(sink: Sink) -> PipelinedGateway:
    return PipelinedGateway(read_server(urlsplit(sink.url)))


def parcels(count: int, content: bytes = b"Subject: x\r\n\r\n.dot\r\nbye\r\n") -> list[Envelope]:
    return [
        Envelope(f"code{number}", "shop@example.com", f"reader{number}@example.com", content)
        for number in range(count)
    ]


def hand_over(sink: Sink, what: Iterable[Envelope], journal: Begun | None = None) -> list[Result]:
    door = gateway(sink)
    with suppress(GeneratorExit):
        results = list(door.send(what, journal or Begun(), lambda: True))
    door.close()
    return results


def outcomes(results: list[Result]) -> list[Outcome]:
    assert [result.index for result in results] == list(range(len(results)))
    return [result.handover.outcome for result in results]


def test_each_message_arrives_once_and_whole_over_one_connection(server: Sink) -> None:
    begun = Begun()
    assert outcomes(hand_over(server, parcels(20), begun)) == [ACCEPTED] * 20
    assert [each.recipient for each in server.messages] == [
        f"reader{number}@example.com" for number in range(20)
    ]
    assert {each.content for each in server.messages} == {b"Subject: x\r\n\r\n.dot\r\nbye\r\n"}
    assert server.connections == 1
    assert begun.indexes == list(range(20))


@pytest.mark.parametrize("lenient", [False, True])
def test_a_refused_recipient_costs_the_others_nothing(server: Sink, lenient: bool) -> None:
    server.lenient = lenient
    server.cue("RCPT", "250 OK", "550 5.1.1 no such user", "250 OK", "450 4.2.0 greylisted")
    results = hand_over(server, parcels(5))
    assert outcomes(results) == [ACCEPTED, REFUSED, ACCEPTED, DEFERRED, ACCEPTED]
    assert results[1].handover.reply == "550 5.1.1 no such user"
    kept = [each.recipient for each in server.messages if each.content.strip()]
    assert kept == [f"reader{number}@example.com" for number in (0, 2, 4)]


def test_a_refused_sender_is_no_recipients_fault_and_is_told(server: Sink) -> None:
    server.cue("MAIL", "250 OK", "451 4.3.2 busy")
    assert outcomes(hand_over(server, parcels(3))) == [ACCEPTED, DEFERRED, ACCEPTED]


def test_the_end_may_be_refused_for_now_or_for_good(server: Sink) -> None:
    server.cue("END", "250 ok", "554 5.7.1 spam", "452 4.3.1 full", "250 ok")
    assert outcomes(hand_over(server, parcels(4))) == [ACCEPTED, REFUSED, DEFERRED, ACCEPTED]


def test_a_server_lost_at_the_end_leaves_one_in_doubt_and_gets_the_next_anew(server: Sink) -> None:
    server.cue("END", "250 ok", TAKE_AND_HANG_UP, "250 ok", "250 ok")
    assert outcomes(hand_over(server, parcels(4))) == [ACCEPTED, IN_DOUBT, ACCEPTED, ACCEPTED]
    recipients = [each.recipient for each in server.messages]
    assert len(recipients) == len(set(recipients)) == 4
    assert server.connections == 2


def test_a_session_that_the_server_ends_goes_on_in_another(server: Sink) -> None:
    server.cue("MAIL", "250 OK", "421 4.7.0 enough for one session", "250 OK")
    assert outcomes(hand_over(server, parcels(3))) == [ACCEPTED, ACCEPTED, ACCEPTED]
    assert server.connections == 2


def test_hanging_up_on_an_envelope_goes_on_in_another_session(server: Sink) -> None:
    server.cue("RCPT", "250 OK", HANG_UP, "250 OK")
    results = hand_over(server, parcels(3))
    assert outcomes(results)[0] is ACCEPTED
    assert outcomes(results)[2] is ACCEPTED
    # The first message's reply may have been lost together with the second's envelope.
    assert len(server.messages) == len({each.recipient for each in server.messages})


def test_a_server_that_is_away_puts_off_one_and_says_nothing_of_the_rest(server: Sink) -> None:
    door = gateway(server)
    server.stop()
    assert outcomes(list(door.send(parcels(3), Begun(), lambda: True))) == [DEFERRED]


def test_nothing_more_is_begun_when_not_going_on(server: Sink) -> None:
    door, begun = gateway(server), Begun()
    results = list(door.send(parcels(9), begun, lambda: len(begun.indexes) < 3))
    door.close()
    assert outcomes(results) == [ACCEPTED] * len(results)
    assert len(begun.indexes) == len(server.messages) <= 4


def test_a_process_that_dies_between_two_messages_leaves_nothing_half_sent(server: Sink) -> None:
    door, begun = gateway(server), Begun()

    class Killed(BaseException):
        pass

    def go_on() -> bool:
        if len(begun.indexes) == 2:
            raise Killed
        return True

    taken: list[Result] = []
    with pytest.raises(Killed):
        taken.extend(door.send(parcels(5), begun, go_on))
    assert len(server.messages) <= 2


def test_a_connection_serves_the_next_lease_too(server: Sink) -> None:
    door = gateway(server)
    for _ in range(2):
        assert outcomes(list(door.send(parcels(3), Begun(), lambda: True))) == [ACCEPTED] * 3
    door.close()
    assert server.connections == 1


def test_an_international_address_is_refused_where_the_server_cant(server: Sink) -> None:
    one = Envelope("code", "shop@example.com", "jörg@example.com", b"x\r\n")
    results = hand_over(server, [*parcels(1), one, *parcels(1)])
    assert outcomes(results) == [ACCEPTED, REFUSED, ACCEPTED]
    assert results[1].handover == Handover(
        REFUSED, "553 5.6.7 The mail server takes no international addresses"
    )
