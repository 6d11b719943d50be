"""A virtual environment of a benchmark's own under build/, made once for each set of requirements."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "benchmarks"
INSTALL_SECONDS_MAX = 900
STAMP = "made-of"


def installed_venv(name: str, requirements: Sequence[str], *, also_of: bytes = b"") -> Path:
    """Return the folder of a virtual environment that holds `requirements`, and nothing else but pip.

    It is made anew when they or `also_of`, what else the install depends on, have changed. Raises RuntimeError with
    what pip said.
    """
    folder = BUILD / name
    wanted = hashlib.sha256("\n".join([sys.version, *requirements]).encode() + also_of).hexdigest()
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    _run([*pip, *requirements])
    stamp.write_text(wanted)
    return folder


def disk_bytes(folder: Path) -> int:
    """Return what `folder` takes on disk, as `du` counts: blocks, and a file of several names once."""
    seen = {path.stat().st_ino: path.stat().st_blocks * 512 for path in folder.rglob("*") if not path.is_symlink()}
    return sum(seen.values())


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False, cwd=ROOT
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{' '.join(command)} took longer than {INSTALL_SECONDS_MAX} s") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise RuntimeError(f"{' '.join(command)} exits with {done.returncode}: {last}")
