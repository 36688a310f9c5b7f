"""The door to one mail server; what each break on the way says about the mail."""

import atexit
from collections.abc import Callable
from contextlib import suppress

from webapp.messaging.gateway.envelope import Envelope, Handover, Outcome
from webapp.messaging.gateway.lines import BROKEN, Answered, Line, Unusable, tell
from webapp.messaging.gateway.servers import Server


class SmtpGateway:
    """One server; the last connection is kept open for the next mail."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._idle: list[Line] = []
        atexit.register(self.close)

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        try:
            line = self._addressed(envelope)
        except Answered as answer:
            return Handover(_verdict(answer.code), answer.reply)
        except (*BROKEN, Unusable) as error:
            return Handover(Outcome.DEFERRED, tell(error))
        return self._send(line, envelope, before_end)

    def _addressed(self, envelope: Envelope) -> Line:
        """Return a connection that waits for the message's data."""
        line = self._take()
        if line is not None:
            try:
                return self._address(line, envelope)
            except BROKEN:
                pass
            except Answered as answer:
                # 421: the server ends the session, perhaps only because it was used long enough.
                if answer.code != 421:
                    raise
        return self._address(Line(self.server), envelope)

    def _address(self, line: Line, envelope: Envelope) -> Line:
        try:
            line.address(envelope)
        except Answered as answer:
            if answer.code != 421 and line.reset():
                self._keep(line)
            else:
                line.quit()
            raise
        except BaseException:
            line.smtp.close()
            raise
        return line

    def _send(self, line: Line, envelope: Envelope, before_end: Callable[[], bool]) -> Handover:
        # Closing without the end makes the server throw away what it has of the message.
        try:
            line.write(envelope.content)
            wanted = before_end()
        except BROKEN as error:
            line.smtp.close()
            return Handover(Outcome.DEFERRED, tell(error))
        except BaseException:
            line.smtp.close()
            raise
        if not wanted:
            line.smtp.close()
            return Handover(Outcome.WITHDRAWN)
        return self._end(line)

    def _end(self, line: Line) -> Handover:
        try:
            reply = line.end()
        except Answered as answer:
            if answer.code // 100 in (4, 5) and answer.code != 421:
                self._keep(line)
                return Handover(_verdict(answer.code), answer.reply)
            line.quit()
            final = Outcome.DEFERRED if answer.code == 421 else Outcome.IN_DOUBT
            return Handover(final, answer.reply)
        except BROKEN as error:
            line.smtp.close()
            return Handover(Outcome.IN_DOUBT, tell(error))
        except BaseException:
            line.smtp.close()
            raise
        self._keep(line)
        return Handover(Outcome.ACCEPTED, reply)

    def _take(self) -> Line | None:
        # pop and append are atomic: two threads never get the same connection.
        with suppress(IndexError):
            line = self._idle.pop()
            if line.is_fresh():
                return line
            line.quit()
        return None

    def _keep(self, line: Line) -> None:
        if self._idle:
            line.quit()
        else:
            self._idle.append(line)

    def close(self) -> None:
        """Say goodbye on the connection that is kept; the next mail opens another."""
        while True:
            try:
                self._idle.pop().quit()
            except IndexError:
                return


def _verdict(code: int) -> Outcome:
    return Outcome.REFUSED if code // 100 == 5 else Outcome.DEFERRED
