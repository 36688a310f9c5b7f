"""Remote pictures are fetched by a job, safely, and become small files of our own."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.catalog import fetch_pictures
from tests.listening import RoomyServer
from webapp.catalog.errors import NoSuchPicture, UnusablePicture
from webapp.catalog.models import Picture, PictureState
from webapp.catalog.services import downloading, pictures
from webapp.core import clock
from webapp.core.state import current_fork

Answer = tuple[int, dict[str, str], bytes]


def picture_bytes(
    width: int = 40, height: int = 30, kind: str = "JPEG", mode: str = "RGB", **options: object
) -> bytes:
    output = io.BytesIO()
    Image.new(mode, (width, height), "red").save(output, kind, **options)
    return output.getvalue()


class Server:
    """A picture server on loopback that answers as it was told."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers["Host"]))
                status, headers, body = outer.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = RoomyServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (status, named, body)
        return f"http://localhost:{self._server.server_port}{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def add(session: Session) -> Callable[[str], Picture]:
    def run(url: str) -> Picture:
        picture = Picture(source_url=url)
        session.add(picture)
        session.commit()
        return picture

    return run


def reload(session: Session, picture: Picture) -> Picture:
    session.refresh(picture)
    return picture


def test_a_picture_is_fetched_made_smaller_and_kept(
    session: Session, server: Server, add: Callable[[str], Picture]
) -> None:
    picture = add(server.url("/big.jpg", picture_bytes(3200, 1600)))

    fetch_pictures()

    reload(session, picture)
    assert picture.state is PictureState.FETCHED, picture.error
    assert (picture.width, picture.height) == (1600, 800)
    assert picture.file_name
    path = current_fork().upload_folder / "pictures" / picture.file_name
    with Image.open(path) as kept:
        assert (kept.format, kept.size) == ("WEBP", (1600, 800))
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".part"] == []
    fetch_pictures()
    assert len(server.asked) == 1


def test_many_pictures_are_drained_and_one_bad_one_hinders_none(
    session: Session, server: Server, add: Callable[[str], Picture]
) -> None:
    good = [add(server.url(f"/{n}.png", picture_bytes(kind="PNG"))) for n in range(11)]
    bad = add(server.url("/bad", b"<html>no picture</html>"))
    fetch_pictures()
    assert {reload(session, p).state for p in good} == {PictureState.FETCHED}
    assert len({p.file_name for p in good}) == 1
    assert reload(session, bad).state is PictureState.PENDING
    assert bad.error == "It isn't a JPEG, PNG, WebP or GIF picture."


def test_a_picture_that_fails_is_tried_five_times_ever_more_rarely(
    session: Session, server: Server, add: Callable[[str], Picture]
) -> None:
    picture = add(server.url("/gone", status=404))
    start = datetime(2030, 1, 1, tzinfo=UTC)
    tries: list[int] = []
    for minute in range(0, 60 * 12, 2):
        with clock.frozen(start + timedelta(minutes=minute)):
            fetch_pictures()
        if len(server.asked) > len(tries):
            tries.append(minute)
    assert tries == [0, 2, 12, 72, 432]
    assert reload(session, picture).state is PictureState.FAILED
    assert picture.error == "Its server answered 404."

    server.url("/gone", picture_bytes())
    pictures.fetch_again(picture.id)
    session.commit()
    fetch_pictures()
    assert reload(session, picture).state is PictureState.FETCHED
    assert picture.error is None


def test_a_worker_that_dies_with_a_picture_costs_one_try(
    session: Session, server: Server, add: Callable[[str], Picture]
) -> None:
    picture = add(server.url("/a.jpg", picture_bytes()))
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with clock.frozen(start):
        [lost] = pictures.claim_pictures(10)
        assert pictures.claim_pictures(10) == []
    with clock.frozen(start + timedelta(minutes=3)):
        fetch_pictures()
        assert reload(session, picture).state is PictureState.FETCHED
        # The dead one comes back to life, too late.
        pictures.mark_failed(lost, "too late")
    assert reload(session, picture).state is PictureState.FETCHED


def test_a_picture_lost_at_the_last_try_is_given_up(
    session: Session, add: Callable[[str], Picture]
) -> None:
    picture = add("https://x.example/1.jpg")
    at = datetime(2030, 1, 1, tzinfo=UTC)
    for _ in range(pictures.MAX_ATTEMPTS):
        with clock.frozen(at):
            assert len(pictures.claim_pictures(1)) == 1
        at += timedelta(hours=7)
    with clock.frozen(at):
        assert pictures.claim_pictures(1) == []
    assert reload(session, picture).state is PictureState.FAILED
    assert picture.error == pictures.LOST


def test_fetching_again_needs_a_picture(session: Session) -> None:
    with pytest.raises(NoSuchPicture):
        pictures.fetch_again(0)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "ff02::1",
    ],
)
def test_addresses_within_are_not_public(address: str) -> None:
    assert not downloading.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.1.1", "2606:4700::1111"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert downloading.is_public(address)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]"]
)
def test_a_server_within_is_never_asked_however_it_is_written(server: Server, host: str) -> None:
    url = server.url("/a.jpg", picture_bytes()).replace("localhost", host)
    with pytest.raises(UnusablePicture, match=r"not on the public internet|name is unknown"):
        downloading.download(url)
    assert server.asked == []


def test_a_redirect_inwards_is_not_followed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = server.url("/secret.jpg", picture_bytes())
    outside = server.url("/go", status=302, Location=inside)
    monkeypatch.setattr(downloading, "is_public", lambda address: len(server.asked) == 0)
    with pytest.raises(UnusablePicture, match="not on the public internet"):
        downloading.download(outside)
    assert [path for path, _ in server.asked] == ["/go"]


def test_a_name_is_resolved_once_and_asked_at_the_address_that_was_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url("/a.jpg", b"x").replace("localhost", "pictures.example")
    real, resolved = socket.getaddrinfo, []

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        resolved.append(host)
        return real("127.0.0.1" if host == "pictures.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert downloading.download(url, allow_private=True) == b"x"
    assert resolved.count("pictures.example") == 1
    assert server.asked[0][1].startswith("pictures.example:")


def test_redirects_are_followed_but_not_for_ever(server: Server) -> None:
    server.url("/there", b"x")
    assert downloading.download(
        server.url("/here", status=301, Location="/there"), allow_private=True
    ) == (b"x")
    with pytest.raises(UnusablePicture, match="more than 5 times"):
        downloading.download(
            server.url("/round", status=302, Location="/round"), allow_private=True
        )


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/1.jpg",
        "file:///etc/passwd",
        "gopher://x.example",
        "http://",
        "https://user:secret@x.example/1.jpg",
    ],
)
def test_only_plain_web_addresses_are_fetched(url: str) -> None:
    with pytest.raises(UnusablePicture, match="plain http"):
        downloading.download(url, allow_private=True)


def test_what_is_too_big_is_left_when_it_is_known(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = server.url("/a", b"", Content_Length=str(11 << 20))
    with pytest.raises(UnusablePicture, match="bigger than 10 MB"):
        downloading.download(announced, allow_private=True)
    monkeypatch.setattr(downloading, "MAX_BYTES", 1 << 20)
    silent = server.url("/b", b"x" * ((1 << 20) + 1))
    with pytest.raises(UnusablePicture, match="bigger than"):
        downloading.download(silent, allow_private=True)


def test_a_server_that_sends_for_ever_is_left(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "TOTAL_SECONDS", -1)
    with pytest.raises(UnusablePicture, match="took longer"):
        downloading.download(server.url("/a", b"x"), allow_private=True)


def test_a_server_that_is_silent_or_away_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloading, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UnusablePicture, match="no answer within"):
            downloading.download(f"http://127.0.0.1:{port}/", allow_private=True)
    with pytest.raises(UnusablePicture, match="can't be reached"):
        downloading.download(f"http://127.0.0.1:{port}/", allow_private=True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_the_usual_formats_are_taken(tmp_path: Path, kind: str) -> None:
    stored = pictures.store_picture(picture_bytes(kind=kind), tmp_path)
    assert (stored.width, stored.height) == (40, 30)
    assert (tmp_path / stored.file_name).stat().st_mode & 0o777 == 0o644


def test_transparency_stays(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(content, "PNG")
    stored = pictures.store_picture(content.getvalue(), tmp_path)
    with Image.open(tmp_path / stored.file_name) as kept:
        assert kept.mode == "RGBA"


def test_a_picture_is_turned_upright_and_loses_what_its_camera_wrote(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Somebody's camera"
    stored = pictures.store_picture(picture_bytes(40, 30, exif=exif), tmp_path)
    assert (stored.width, stored.height) == (30, 40)
    with Image.open(tmp_path / stored.file_name) as kept:
        assert not kept.getexif()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "isn't a JPEG"),
        (b"<svg onload='x()'/>", "isn't a JPEG"),
        (picture_bytes(kind="BMP"), "isn't a JPEG"),
        (picture_bytes(200, 200)[:300], "can't be read"),
        (picture_bytes(8000, 6000, "PNG", "1"), "40 million"),
        (picture_bytes(15000, 14000, "PNG", "1"), "can't be read"),
    ],
    ids=["empty", "svg", "bmp", "cut off", "many points", "bomb"],
)
def test_what_is_no_usable_picture_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(UnusablePicture, match=told):
        pictures.store_picture(content, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_in_production_nothing_within_is_asked(
    app: Flask,
    session: Session,
    server: Server,
    add: Callable[[str], Picture],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = add(server.url("/a.jpg", picture_bytes()))
    asked: list[bool] = []

    def refuse(url: str, *, allow_private: bool) -> bytes:
        asked.append(allow_private)
        raise UnusablePicture("no")

    monkeypatch.setattr("jobs.catalog.download", refuse)
    fetch_pictures()
    assert asked == [True]
    from webapp.core.config import Env
    from webapp.core.state import current_config

    production = current_config().model_copy(update={"app_env": Env.PRODUCTION})
    monkeypatch.setattr("jobs.catalog.current_config", lambda: production)
    with clock.frozen(datetime.now(UTC) + timedelta(hours=1)):
        fetch_pictures()
    assert asked == [True, False]
    assert session.scalars(select(Picture.state)).all() == [PictureState.PENDING]
    assert picture.id
