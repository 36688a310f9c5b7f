"""Turns itself into one child process: drops root if told to, dies with its parent, then execs.

It is a script of its own, started as `python -I -S launch.py`, because code that runs between fork
and exec (subprocess' preexec_fn) may deadlock when the parent has threads.
"""

import argparse
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


class CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class CapabilitySet(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def become(uid: int, gid: int) -> None:
    """Give up root for `uid`. On Linux keep the one right to pass folders closed to others.

    Postgres refuses to run as root, yet a clone in a folder of mode 0700 (root's home, `mktemp -d`)
    is out of reach for anyone else. An ambient CAP_DAC_OVERRIDE (capabilities(7)) bridges that
    without opening the folders to everybody. access(2), which initdb asks about its binaries,
    heeds it only under SECBIT_NO_SETUID_FIXUP.
    """
    linux = sys.platform == "linux"
    if linux:
        libc().prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        libc().prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if not linux:
        return
    bit = 1 << CAP_DAC_OVERRIDE
    header = CapabilityHeader(CAPABILITY_VERSION_3, 0)
    sets = (CapabilitySet * 2)(CapabilitySet(bit, bit, bit), CapabilitySet(0, 0, 0))
    if libc().capset(ctypes.byref(header), sets) == 0:
        libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def die_with(parent: int, signal_number: int) -> None:
    """Ask Linux to send `signal_number` when the parent ends, however it ends."""
    if sys.platform != "linux":
        return
    libc().prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command: list[str] = options.command[1:] if options.command[0] == "--" else options.command
    if options.uid is not None:
        become(options.uid, options.gid)
    # After the change of user: the kernel forgets the wish when credentials change.
    die_with(options.parent, options.death_signal)
    os.execvpe(command[0], command, os.environ)


if __name__ == "__main__":
    main()
