"""Run a program for a while and report its speed: `python -m lepton_ai.node.probe_runner SECONDS -- COMMAND...`.

The program may write how many steps it has done into the file that LEPTON_PROGRESS names, as often as it likes: the
last number in the file counts, and the speed is that between the first number seen and the last, so that starting up
does not count. A program that tells nothing is timed as a whole, if it ends in time; how long a program took that ended
is told in any case. The report is the log's last line.
It imports the standard library alone, so that no requirement of the user can break it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLL_SECONDS = 0.02
GRACE_SECONDS = 5.0
PROGRESS_BYTES_MAX = 4096  # of the file's end; the last number is what counts
MARK = "lepton-probe: "
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def main(arguments: list[str]) -> int:
    """Run the probe; returns 0 if something was measured, else the program's exit code, or 75 if that is 0."""
    if len(arguments) < 3 or arguments[1] != "--":
        print("usage: python -m lepton_ai.node.probe_runner SECONDS -- COMMAND...", file=sys.stderr)
        return 2
    seconds_max, command = float(arguments[0]), arguments[2:]
    with tempfile.TemporaryDirectory() as folder:
        report = _probe(command, seconds_max, Path(folder) / "progress")
    print(f"\n{MARK}{json.dumps(report)}", flush=True)
    if report["seconds_per_unit"]:
        return 0
    code = report["exit_code"]
    return code if isinstance(code, int) and 0 < code < 256 else 75


def _probe(command: list[str], seconds_max: float, progress: Path) -> dict[str, object]:
    env = {**os.environ, "LEPTON_PROGRESS": str(progress), "LEPTON_PROFILE": "1"}
    began = time.monotonic()
    try:
        child = subprocess.Popen(command, env=env, start_new_session=True)
    except OSError as error:
        return _report(0.0, 127, problem=f"{command[0]} could not be started: {error.strerror}.")
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None
    while child.poll() is None and time.monotonic() - began < seconds_max:
        time.sleep(POLL_SECONDS)
        steps = read_progress(progress)
        if steps is not None and (last is None or steps > last[1]):
            last = time.monotonic(), steps
            first = first or last
    took, code = time.monotonic() - began, child.poll()
    _end(child)
    if code:
        return _report(took, code, problem=f"The program ended with exit code {code}.")
    if first is not None and last is not None and last[1] > first[1]:
        steps = last[1] - first[1]
        return _report(took, code or 0, pace=("step", steps, (last[0] - first[0]) / steps), is_whole=code == 0)
    if code == 0:
        return _report(took, 0, pace=("run", 1.0, took), is_whole=True)
    why = f"It did not end within {seconds_max:g} s and told no progress (LEPTON_PROGRESS)."
    return _report(took, 0, problem=why)


def read_progress(progress: Path) -> float | None:
    """Return the last number in the file, or None if there is none yet."""
    try:
        with progress.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - PROGRESS_BYTES_MAX))
            found = _NUMBER.findall(file.read().decode(errors="replace"))
    except OSError:
        return None
    return float(found[-1]) if found else None


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _report(
    seconds: float,
    exit_code: int,
    *,
    pace: tuple[str, float, float] = ("run", 0.0, 0.0),
    is_whole: bool = False,
    problem: str = "",
) -> dict[str, object]:
    """Return the report; `pace` is the unit, how many of it were done, and the seconds that each took."""
    unit, units, each = pace
    return {
        "unit": unit,
        "seconds_per_unit": each,
        "units": units,
        "seconds": seconds,
        "exit_code": exit_code,
        "is_whole": is_whole,
        "problem": problem,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
