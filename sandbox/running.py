"""One run of the demo, from its start to its orderly stop."""

import json
import sys
import time
from argparse import Namespace
from pathlib import Path

from sandbox.addresses import Addresses
from sandbox.check import check_sale
from sandbox.interruption import Interrupted, ignore_signals
from sandbox.ports import is_free, next_free_port
from sandbox.processes import SandboxError, write_atomically
from sandbox.stack import Stack
from sandbox.steps import Steps

DEFAULT_PORT = 8000


def run(options: Namespace, began: float) -> int:
    """Start, announce, stay; stop whatever happened. Returns the exit status.

    The caller holds the state folder's lock.
    """
    steps = Steps()
    stack = Stack(options.state, steps)
    status = 0
    try:
        stack.end_orphans()
        addresses = stack.start(choose_port(options.port, steps), fresh=options.fresh)
        if not options.check:
            show(addresses, time.monotonic() - began, stack.state.logs, steps)
        if options.ready:
            text = json.dumps(addresses.as_json(), indent=2) + "\n"
            write_atomically(options.ready, text)
        if options.check:
            steps.say()
            status = 0 if check_sale(stack, addresses) else 1
        else:
            stack.watch()
    except Interrupted:
        status = 130 if options.check else 0
        steps.say("\n  Stopping.")
    except (SandboxError, OSError) as error:
        status = 1
        print(f"\ndev demo: {error}", file=sys.stderr)
    finally:
        ignore_signals()
        if options.ready:
            options.ready.unlink(missing_ok=True)
        stack.stop()
    return status


def choose_port(wanted: int | None, steps: Steps) -> int:
    """The wanted port, or the next free one when nobody wished for a certain one."""
    if wanted is not None:
        if not 0 < wanted < 65536:
            raise SandboxError(f"{wanted} isn't a port: choose one from 1024 to 65535 with --port.")
        if not is_free(wanted):
            raise SandboxError(
                f"Port {wanted} is taken by another program. Choose another with --port, "
                f"for example --port {next_free_port(wanted)}."
            )
        return wanted
    if is_free(DEFAULT_PORT):
        return DEFAULT_PORT
    port = next_free_port(DEFAULT_PORT)
    steps.say(f"  Port {DEFAULT_PORT} is taken, so this uses {port} (--port chooses another).")
    return port


def show(addresses: Addresses, seconds: float, logs: Path, steps: Steps) -> None:
    steps.say(f"""
  Ready in {seconds:.1f} s.

    Shop         {addresses.web}/
    Back office  {addresses.admin_url}
                 {addresses.admin_email}   {addresses.admin_password}
    Mailbox      {addresses.mailbox}/
    Stripe       {addresses.stripe}/   card 4242 4242 4242 4242, any later date, any CVC
    Logs         {logs}

  Ctrl-C stops everything.""")
