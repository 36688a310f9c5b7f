"""Worker and clock are killed through months of subscriptions: the end is that of a calm run.

CHAOS_FULL=1 lives through more of it. CHAOS_SEED chooses the people and the moments.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.processes import ROOT

pytestmark = pytest.mark.chaos

SEED = os.environ.get("CHAOS_SEED", "3")
IS_FULL = os.environ.get("CHAOS_FULL") == "1"
CUSTOMERS, DAYS, KILLS = (30, 120, 40) if IS_FULL else (6, 45, 6)
# The clock stands still in the middle: steps are missed then, and none of them is sent late.
CLOCK_OFF = 5
PATIENCE_SECONDS = 3000 if IS_FULL else 1800


def begin(folder: Path, kills: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sandbox.clock_run", "--state", str(folder)]
    command += ["--customers", str(CUSTOMERS), "--days", str(DAYS), "--seed", SEED]
    command += ["--clock-off", str(CLOCK_OFF), "--chaos", str(kills)]
    command += ["--json", str(folder.with_suffix(".json"))]
    env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    return subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def read(run: "subprocess.Popen[str]", folder: Path) -> dict[str, Any]:
    told, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, told
    report: dict[str, Any] = json.loads(folder.with_suffix(".json").read_text())
    return report


def killed(report: dict[str, Any]) -> int:
    """How many of all, as the report tells it: "2 x clock, 1 x worker"."""
    return sum(int(each.split()[0]) for each in report["figures"]["killed"].split(", "))


def test_deaths_and_a_clock_that_stops_change_nothing_in_the_end(tmp_path: Path) -> None:
    folders = [tmp_path / "calm", tmp_path / "mortal"]
    runs = [begin(folder, kills) for folder, kills in zip(folders, (0, KILLS), strict=True)]
    try:
        calm, mortal = (read(run, folder) for run, folder in zip(runs, folders, strict=True))
    finally:
        # Only one who is waited for takes their stack along.
        for run in runs:
            run.terminate()
        for run in runs:
            run.wait(60)
    assert calm["figures"]["killed"] == "nobody"
    assert killed(mortal) == KILLS
    assert mortal["figures"]["killed at work"] > KILLS / 2, mortal["figures"]["killed"]
    assert "missed" in mortal["figures"]["steps"]
    for kind, rows in calm["outcome"].items():
        assert mortal["outcome"][kind] == rows, kind
