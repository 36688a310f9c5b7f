"""`./dev clock-run`: years of subscriptions in minutes, and what must be true of them afterwards.

Real processes on a state folder of their own; customers who sign up, pay, fail, mend their cards
and change their minds. Ends with status 0 only if everything holds.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from sandbox.demo import absolute
from sandbox.interruption import Interrupted, catch_signals
from sandbox.processes import ROOT, FolderLock, SandboxError


def main() -> None:
    options = read_options()
    catch_signals()
    kept = options.state is not None
    if not kept:
        parent = ROOT / ".local"
        parent.mkdir(exist_ok=True)
        options.state = Path(tempfile.mkdtemp(prefix="clock-run-", dir=parent))
    lock = FolderLock(options.state / "lock")
    status = 130
    try:
        lock.acquire()
        from sandbox.clock_run.running import run

        status = run(options, time.monotonic())
    except SandboxError as error:
        print(f"dev clock-run: {error}", file=sys.stderr)
        status = 1
    except Interrupted:
        pass
    finally:
        lock.release()
    if status == 1:
        print(f"The logs are in {options.state / 'logs'}.", file=sys.stderr)
    elif not kept:
        shutil.rmtree(options.state, ignore_errors=True)
    sys.exit(status)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev clock-run", description=__doc__)
    parser.add_argument("--customers", type=_one_or_more, default=200, metavar="N")
    parser.add_argument("--days", type=_one_or_more, default=400, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", type=absolute, metavar="FILE", help="the report as JSON")
    parser.add_argument(
        "--chaos", type=int, default=0, metavar="KILLS", help="kill -9 worker and clock so often"
    )
    parser.add_argument(
        "--clock-off",
        type=int,
        default=0,
        metavar="DAYS",
        help="let the clock process stand still for so long",
    )
    parser.add_argument("--state", type=absolute, metavar="DIR", help="kept afterwards")
    return parser.parse_args()


def _one_or_more(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on.")
    return int(text)


if __name__ == "__main__":
    main()
