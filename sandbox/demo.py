"""`./dev demo`: the whole shop on one laptop, from nothing to addresses to click on."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from sandbox.addresses import Addresses
from sandbox.check import check_sale
from sandbox.ports import free_port, is_free, next_free_port
from sandbox.processes import ROOT, SandboxError, write_atomically
from sandbox.stack import Stack
from sandbox.steps import Steps

DEFAULT_PORT = 8000
DEFAULT_STATE = ROOT / ".local" / "demo"


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM: leave whatever is being waited for."""


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


def catch_signals() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def ignore_signals() -> None:
    """While stopping: a second Ctrl-C must not leave processes behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


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


def run(options: argparse.Namespace) -> int:
    """Start, announce, stay; stop whatever happened. Returns the exit status."""
    steps = Steps()
    began = time.monotonic()
    folder: Path = options.state.expanduser().absolute()
    stack = Stack(folder, steps)
    ready: Path | None = options.ready.expanduser().absolute() if options.ready else None
    status = 0
    try:
        stack.claim()
        if ready:
            ready.unlink(missing_ok=True)
        addresses = stack.start(choose_port(options.port, steps), fresh=options.fresh)
        if ready:
            write_atomically(ready, json.dumps(addresses.as_json(), indent=2) + "\n")
        if options.check:
            steps.say()
            status = 0 if check_sale(stack, addresses) else 1
        else:
            show(addresses, time.monotonic() - began, stack.state.logs, steps)
            stack.watch()
    except Interrupted:
        status = 130 if options.check else 0
        steps.say("\n  Stopping.")
    except (SandboxError, OSError) as error:
        status = 1
        print(f"\ndev demo: {error}", file=sys.stderr)
    finally:
        ignore_signals()
        if ready and stack.lock.is_held:
            ready.unlink(missing_ok=True)
        stack.stop()
    return status


def run_check(options: argparse.Namespace) -> int:
    """The main job against a state folder that is new and goes afterwards, unless it failed."""
    parent = ROOT / ".local"
    parent.mkdir(exist_ok=True)
    options.state = Path(tempfile.mkdtemp(prefix="check-", dir=parent))
    if options.port is None:
        options.port = free_port()
    status = run(options)
    if status == 1:
        print(f"The logs are in {options.state / 'logs'}.", file=sys.stderr)
    else:
        shutil.rmtree(options.state, ignore_errors=True)
    return status


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR")
    parser.add_argument("--port", type=int, metavar="N", help=f"default {DEFAULT_PORT}")
    parser.add_argument("--fresh", action="store_true", help="delete the state and start over")
    parser.add_argument("--ready", type=Path, metavar="FILE", help="written once all parts answer")
    parser.add_argument(
        "--check", action="store_true", help="make one sale unattended on a state of its own"
    )
    options = parser.parse_args()
    catch_signals()
    try:
        status = run_check(options) if options.check else run(options)
    except Interrupted:
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
