"""`./dev demo`: the whole shop on one laptop, from nothing to addresses to click on.

This module stays quick to import: a FILE that a killed run left must go before anyone takes it
for news of this one.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from sandbox.interruption import Interrupted, catch_signals
from sandbox.processes import ROOT, FolderLock, SandboxError

DEFAULT_STATE = ROOT / ".local" / "demo"


def main() -> None:
    began = time.monotonic()
    options = read_options()
    catch_signals()
    try:
        status = run_check(options, began) if options.check else run_demo(options, began)
    except SandboxError as error:
        print(f"dev demo: {error}", file=sys.stderr)
        status = 1
    except Interrupted:
        status = 130
    sys.exit(status)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--state", type=absolute, default=DEFAULT_STATE, metavar="DIR")
    parser.add_argument("--port", type=int, metavar="N", help="of the shop, default 8000")
    parser.add_argument("--fresh", action="store_true", help="delete the state and start over")
    parser.add_argument(
        "--ready", type=absolute, metavar="FILE", help="written once all parts answer"
    )
    parser.add_argument(
        "--check", action="store_true", help="make one sale unattended on a state of its own"
    )
    return parser.parse_args()


def absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()


def run_demo(options: argparse.Namespace, began: float) -> int:
    """Take the state folder, then run; SandboxError if another demo has it."""
    lock = FolderLock(options.state / "lock")
    lock.acquire()
    try:
        if options.ready:
            options.ready.unlink(missing_ok=True)
        from sandbox.running import run

        return run(options, began)
    finally:
        lock.release()


def run_check(options: argparse.Namespace, began: float) -> int:
    """The main job against a state folder that is new and goes afterwards, unless it failed."""
    from sandbox.ports import free_port

    parent = ROOT / ".local"
    parent.mkdir(exist_ok=True)
    options.state = Path(tempfile.mkdtemp(prefix="check-", dir=parent))
    if options.port is None:
        options.port = free_port()
    status = run_demo(options, began)
    if status == 1:
        print(f"The logs are in {options.state / 'logs'}.", file=sys.stderr)
    else:
        shutil.rmtree(options.state, ignore_errors=True)
    return status


if __name__ == "__main__":
    main()
