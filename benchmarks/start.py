"""What comes before the first job: the first line of help, the import, the install, and `lepton up`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figure import Figure, Report, at_most, told
from benchmarks.instance import BIN, lepton
from benchmarks.venv import ROOT, disk_bytes, installed_venv

RUNS = 15
STARTS = 5
MB = 1_000_000


def measure() -> Report:
    """Time each in fresh processes and weigh a fresh install."""
    help_times = _wall([str(BIN / "lepton"), "--help"])
    bare = _wall([sys.executable, "-c", "pass"])
    plain = _wall([sys.executable, "-c", "import lepton_ai"])
    client = _wall([sys.executable, "-c", "from lepton_ai import LeptonAI"])
    first, second = _starts()
    figures = [
        at_most("`lepton --help`", help_times, 0.3, "s"),
        at_most("`import lepton_ai`, the interpreter's own start included", plain, 0.15, "s"),
        told("`from lepton_ai import LeptonAI`, the same way", client, "s"),
        told("an interpreter that does nothing", bare, "s"),
        at_most("`lepton up` until ready, fresh state folder", first, 3.0, "s"),
        at_most("`lepton up` until ready, second start", second, 3.0, "s"),
        *_sizes(),
    ]
    notes = [
        f"Wall time of whole processes, files in the page cache: median of {RUNS}; `lepton up`: median of {STARTS}.",
        "The install is a fresh virtual environment after `pip install .` without extras, weighed as `du` does, with "
        "pip's own files and with the compiled bytecode.",
    ]
    return Report(name="start", title="Start and size", figures=figures, notes=notes)


def _wall(command: Sequence[str]) -> list[float]:
    """Return the seconds that each of several runs took; one more, before them, fills the page cache."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        times.append(time.perf_counter() - began)
    return times[1:]


def _starts() -> tuple[list[float], list[float]]:
    first: list[float] = []
    second: list[float] = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="lepton-benchmark-") as folder:
            home = Path(folder) / "home"
            for times in (first, second):
                began = time.perf_counter()
                try:
                    lepton(home, "up")
                    times.append(time.perf_counter() - began)
                finally:
                    lepton(home, "down")
    return first, second


def _sizes() -> list[Figure]:
    folder = installed_venv("base-install", ["."], also_of=(ROOT / "pyproject.toml").read_bytes())
    whole = disk_bytes(folder)
    pip = sum(disk_bytes(path) for path in folder.glob("lib/python*/site-packages/pip"))
    return [
        at_most("base install on disk", [whole / MB], 220, "MB"),
        told("of which pip itself", [pip / MB], "MB"),
    ]
