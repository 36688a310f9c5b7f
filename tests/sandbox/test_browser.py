"""The demo's visitor fills in forms as a browser without JavaScript would."""

import threading
from http.server import BaseHTTPRequestHandler

import pytest
from selectolax.lexbor import LexborHTMLParser

from sandbox.browser import Browser, NotThereError, Page
from sandbox.check import count_catalogue
from sandbox.procfile import read_procfile, shell_command
from sandbox.seed import FORKS
from tests.listening import RoomyServer

HTML = """
<h1>A <b>shirt</b></h1><a href="/products/shirt">one</a><a href="/products/shirt#x">two</a>
<form method="post" action="/cart/add?from=page">
  <input type="hidden" name="csrf_token" value="secret">
  <input type="radio" name="sku_id" value="1" disabled><input type="radio" name="sku_id" value="2">
  <input type="radio" name="sku_id" value="3" checked>
  <select name="country"><option value="">Choose</option><option value="US">US</option></select>
  <select name="size"><option>S</option><option value="M" selected>Medium</option></select>
  <input type="number" name="quantity" value="1"><textarea name="note">hello</textarea>
  <input type="checkbox" name="gift"><button name="go" value="1">Go</button>
</form>
"""


def page() -> Page:
    return Page("http://shop.example/products/shirt", 200, LexborHTMLParser(HTML))


def test_a_form_is_read_with_the_values_it_stands_at() -> None:
    form = page().form("/cart/add")
    assert form.action == "http://shop.example/cart/add?from=page"
    assert form.fields == {
        "csrf_token": "secret",
        "sku_id": "3",
        "country": "",
        "size": "M",
        "quantity": "1",
        "note": "hello",
    }
    assert form.offered["sku_id"] == ("2", "3")
    assert form.offered["country"] == ("", "US")


def test_a_missing_form_is_told_with_what_the_page_says() -> None:
    with pytest.raises(NotThereError, match=r"no form that leads to /checkout\. It says: A shirt"):
        page().form("/checkout")


def test_links_and_heading() -> None:
    assert page().heading == "A shirt"
    assert page().links("/products/")[0] == "http://shop.example/products/shirt"


def test_every_page_comes_over_a_connection_of_its_own() -> None:
    callers = []

    class Shop(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            callers.append(self.client_address)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = HTML.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with RoomyServer(("127.0.0.1", 0), Shop) as shop:
        threading.Thread(target=shop.serve_forever, daemon=True).start()
        browser = Browser()
        page = browser.open(f"http://127.0.0.1:{shop.server_port}/")
        browser.submit(page, page.form("/cart/add"))
        shop.shutdown()
    assert len(set(callers)) == 2


def test_the_catalogues_are_the_real_ones() -> None:
    counts = [count_catalogue(fork.catalogue.read_text(encoding="utf-8")) for fork in FORKS]
    assert all(products > 5 and variants >= products for products, variants in counts)


def test_the_procfile_names_what_the_demo_runs() -> None:
    commands = read_procfile()
    assert {"release", "web", "worker", "clock"} <= set(commands)
    assert shell_command("flask worker") == ["/bin/sh", "-c", "exec flask worker"]
