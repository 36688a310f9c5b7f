"""How far the sending of a mail has come, in the words and pictures that its page shows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import jsonify, render_template, request
from werkzeug import Response

from admin.base import Room, page
from webapp.campaigns.models import Email, EmailState
from webapp.campaigns.services import sending

# Minutes of the chart.
SHOWN, FEW = 30, 12
OVER = (EmailState.SENT, EmailState.CANCELLED)
STARTED = (EmailState.SENDING, EmailState.PAUSED, *OVER)
# What has figures.
GONE_OUT = (*STARTED, EmailState.AUTOMATED)
# What goes on by itself, without a press of a button here.
MOVING = (EmailState.READY, EmailState.SCHEDULED, EmailState.SENDING, EmailState.PAUSED)


@dataclass(frozen=True, slots=True)
class View:
    """Figures as text, by name; ``stage`` is another as soon as the page has to be."""

    stage: str
    over: bool
    percent: float
    unknown: int
    figures: dict[str, str]
    spoken: str
    chart: list[tuple[str, int, str]]


class ProgressPages(Room):
    """What a mail's page asks for each second while the mail is being sent."""

    @page("/progress/")
    def progress(self) -> Response:
        view = view_of(self.get_one(request.args.get("id", "")))
        return jsonify(
            stage=view.stage,
            over=view.over,
            percent=view.percent,
            figures=view.figures,
            spoken=view.spoken,
            chart=render_template("admin/campaigns/chart.html", values=view.chart),
        )


def view_of(email: Email) -> View:
    """Return the progress of a mail, whatever its state."""
    now = sending.progress(email.id)
    done = now.sent + now.failed + now.unknown + now.suppressed
    whole = max(now.population, done)
    percent = round(100 * done / whole, 1) if whole else 0.0
    sending_now = email.state is EmailState.SENDING
    left = time_left(now.seconds_left) if sending_now else "–"
    tenths = f"{int(percent // 10) * 10} percent done"
    return View(
        stage=f"{email.state.value}:{email.population}:{email.approved_at is not None}",
        over=email.state in OVER,
        percent=percent,
        unknown=now.unknown,
        figures={
            "done": f"{done:,} of {whole:,}",
            "sent": f"{now.sent:,}",
            "left": f"{now.pending:,}",
            "failed": f"{now.failed:,}",
            "unknown": f"{now.unknown:,}",
            "suppressed": f"{now.suppressed:,}",
            "rate": f"{now.rate:,.0f}" if sending_now else "–",
            "time": left,
        },
        spoken=tenths,
        chart=_chart(sending.rates(email.id)),
    )


def _chart(minutes: list[sending.Minute]) -> list[tuple[str, int, str]]:
    """Return the last minutes of sending, also those in which nothing was sent."""
    if not minutes:
        return []
    known = {each.at: each for each in minutes}
    end = minutes[-1].at
    begin = max(minutes[0].at, end - timedelta(minutes=SHOWN - 1))
    # Few minutes are no wall: the others are still to come.
    count = max(FEW, int((end - begin).total_seconds()) // 60 + 1)
    times = [begin + timedelta(minutes=number) for number in range(count)]
    return [_minute(at, known.get(at)) for at in times]


def _minute(at: datetime, minute: sending.Minute | None) -> tuple[str, int, str]:
    sent, failed = (minute.sent, minute.failed) if minute else (0, 0)
    told = f"{sent:,} sent" + (f", {failed:,} failed" if failed else "")
    return f"{at.astimezone(UTC):%H:%M}", sent, told


def time_left(seconds: float | None) -> str:
    """Return a span as people say it: ``40 s``, ``3 min``, ``2 h 5 min``."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = (whole + 30) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
