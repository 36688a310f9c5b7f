"""./dev makes .venv once, starts over when interrupted, and says what is wrong in sentences."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.processes import ROOT

# Stands in for a Python and for pip: the tests are about ./dev, not about downloading.
FAKE_PYTHON = """#!/bin/sh
case "$1 ${2:-}" in
"-m venv")
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip")
    echo "pip $*" >> "$CALLS"
    for name in one two three; do echo "Collecting $name"; done
    echo "Installing collected packages: one, two, three"
    if [ -n "${PIP_SAYS:-}" ]; then echo "$PIP_SAYS"; exit 1; fi ;;
"-m "*) echo "run $*" ;;
"-V "*) echo "Python 3.12.0" ;;
*) exec "$REAL" "$@" ;;
esac
"""


@dataclass
class Project:
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def dev(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / "dev"), *arguments],
            check=False,
            env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin", **self.env},
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def installs(self) -> int:
        calls = self.folder / "calls"
        return calls.read_text().count(" install ") if calls.exists() else 0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "a clone"
    folder.mkdir()
    shutil.copy(ROOT / "dev", folder / "dev")
    (folder / "requirements-dev.txt").write_text("pip==1\n")
    fake = folder / "python3.12"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    env = {"PYTHON": str(fake), "REAL": sys.executable, "CALLS": str(folder / "calls")}
    return Project(folder, env)


def test_it_installs_once_and_hands_over(project: Project) -> None:
    first = project.dev("test", "-k", "one two")
    assert first.returncode == 0, first.stderr
    assert "Making .venv with Python 3.12.0" in first.stderr
    assert first.stdout.strip() == "run -m pytest -n logical --dist loadfile -k one two"
    second = project.dev("test")
    assert second.stderr == ""
    assert project.installs() == 1


def test_a_changed_lock_is_installed(project: Project) -> None:
    project.dev("test")
    (project.folder / "requirements-dev.txt").write_text("pip==2\n")
    again = project.dev("test")
    assert "Installing 3 packages" in again.stderr
    assert project.installs() == 2


def test_a_failed_install_is_told_and_tried_again(project: Project) -> None:
    project.env["PIP_SAYS"] = "ERROR: no such thing"
    failed = project.dev("test")
    assert failed.returncode == 1
    assert "ERROR: no such thing" in failed.stderr
    assert "couldn't be installed" in failed.stderr
    del project.env["PIP_SAYS"]
    assert project.dev("test").returncode == 0
    assert not (project.folder / ".local" / "installing").exists()


def test_a_full_disk_is_named(project: Project) -> None:
    project.env["PIP_SAYS"] = "ERROR: [Errno 28] No space left on device"
    failed = project.dev("test")
    assert failed.returncode == 1
    assert "the disk is full" in failed.stderr


def test_a_lock_that_a_killed_install_left_is_passed(project: Project) -> None:
    left = project.folder / ".local" / "installing"
    left.mkdir(parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    (left / "pid").write_text(str(gone.pid))
    assert project.dev("test").returncode == 0


def test_a_python_that_is_too_old_is_named(project: Project) -> None:
    old = project.folder / "bin"
    old.mkdir()
    for name in ("python3", "python", "python3.11", "python3.12", "python3.13", "python3.14"):
        (old / name).write_text(
            '#!/bin/sh\ncase "$2" in *platform*) echo 3.8.1;; *) exit 1;; esac\n'
        )
        (old / name).chmod(0o755)
    del project.env["PYTHON"]
    project.env["PATH"] = f"{old}:/usr/bin:/bin"
    failed = project.dev("test")
    assert failed.returncode == 1
    assert "Python 3.11 or newer is needed and python3 is 3.8.1" in failed.stderr


def test_a_wrong_wish_for_python_is_named(project: Project) -> None:
    project.env["PYTHON"] = "/bin/false"
    failed = project.dev("test")
    assert failed.returncode == 1
    assert "PYTHON=/bin/false doesn't run or isn't Python 3.11 to 3.14" in failed.stderr


def test_another_projects_shell_does_not_matter(project: Project) -> None:
    project.env |= {"PYTHONPATH": "/nowhere", "VIRTUAL_ENV": "/nowhere", "PIP_TARGET": "/nowhere"}
    project.env |= {"FLASK_APP": "other", "PYTHONHOME": "/nowhere"}
    assert project.dev("test").returncode == 0


def test_paths_in_arguments_mean_what_they_say(project: Project, tmp_path: Path) -> None:
    answer = project.dev("demo", "--state", "here", cwd=tmp_path)
    assert answer.stdout.strip() == "run -m sandbox.demo --state here"


def test_help_and_mistakes_install_nothing(project: Project) -> None:
    assert "demo    run the whole shop" in project.dev().stdout
    wrong = project.dev("dmeo")
    assert wrong.returncode == 1
    assert "there is no command dmeo" in wrong.stderr
    assert project.installs() == 0


def test_it_is_posix_sh() -> None:
    shells = [shell for shell in ("dash", "busybox", "bash") if shutil.which(shell)]
    for shell in shells:
        words = [shell, "sh"] if shell == "busybox" else [shell]
        subprocess.run([*words, "-n", str(ROOT / "dev")], check=True)
    assert os.access(ROOT / "dev", os.X_OK)
