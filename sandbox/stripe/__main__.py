"""`python -m sandbox.stripe`: the sandbox as a process of its own."""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence

from sandbox.stripe import server
from sandbox.stripe.store import StateInUse


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.stripe", description="A Stripe of your own on 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", required=True, help="folder that keeps everything")
    parser.add_argument(
        "--key",
        action="append",
        default=None,
        help=f"secret key to accept (default {server.DEFAULT_KEY}); each has objects of its own",
    )
    parser.add_argument("--webhook", help="URL that gets the first key's events")
    parser.add_argument("--webhook-secret", help="signing secret of that URL (default: a new one)")
    parser.add_argument("--retry-base", type=float, default=1.0, help="seconds before a retry")
    parser.add_argument(
        "--async-after", type=int, help="seconds until bank debits settle by themselves"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    keys = options.key or [server.DEFAULT_KEY]
    try:
        sandbox = server.start(
            options.state,
            options.port,
            keys[0],
            options.webhook,
            options.webhook_secret,
            retry_base=options.retry_base,
            async_after=options.async_after,
        )
        for key in keys[1:]:
            sandbox.machine.ensure_key(key)
    except (server.PortTaken, StateInUse, ValueError) as error:
        print(f"Stripe sandbox: {error}", file=sys.stderr)
        return 1
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ready = {"url": sandbox.url, "key": sandbox.key, "webhook_secret": sandbox.webhook_secret}
    print(json.dumps(ready), flush=True)
    while not ended.wait(1):
        pass
    sandbox.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
