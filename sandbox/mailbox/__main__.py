"""Runs the mailbox: `python -m sandbox.mailbox --smtp-port N --http-port N --state DIR`."""

import argparse
import asyncio
import json
import logging
import signal
import threading
from pathlib import Path

from werkzeug.serving import make_server

from sandbox.mailbox.pages import create_pages
from sandbox.mailbox.refusals import Refusals
from sandbox.mailbox.returning import Shop
from sandbox.mailbox.smtp import serve_smtp
from sandbox.mailbox.store import Store
from sandbox.ports import HOST


async def run(smtp_port: int, http_port: int, folder: Path, shop: Shop | None) -> None:
    store, refusals = Store(folder), Refusals()
    smtp = await serve_smtp(store, refusals, smtp_port)
    http = make_server(HOST, http_port, create_pages(store, refusals, shop), threaded=True)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    smtp_port = smtp.sockets[0].getsockname()[1]
    addresses = {"smtp": f"smtp://{HOST}:{smtp_port}", "url": f"http://{HOST}:{http.port}"}
    print(json.dumps(addresses), flush=True)
    await stopped.wait()
    smtp.close()
    http.shutdown()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mailbox")
    parser.add_argument("--smtp-port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--http-port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps the mail")
    parser.add_argument("--shop", type=Path, help="file of the shop's settings; it gets bounces")
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    shop = Shop(options.shop) if options.shop else None
    asyncio.run(run(options.smtp_port, options.http_port, options.state, shop))


if __name__ == "__main__":
    main()
