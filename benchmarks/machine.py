"""Describes the machine that a benchmark ran on, as the machine itself tells it, and how busy it was."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import psutil

QUIET_PERCENT = 15.0  # of all cores, used by others: more than that, and a figure tells of them
QUIET_SECONDS_MAX = 10.0  # so long is waited for it, once before each benchmark; then the figure is what it is
SAMPLE_SECONDS = 0.25


def describe_machine() -> str:
    """Return for instance `2 cores, 24 GiB, Linux, Intel Xeon, Python 3.11.7, load 1.3 at the end`."""
    gib = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {gib:.0f} GiB, {platform.system()}, {_processor()}, "
        f"Python {platform.python_version()}, load {load:.1f} at the end"
    )


def wait_for_quiet() -> None:
    """Wait until the machine's processors idle, though not for long: on a shared machine that may never be."""
    give_up = time.monotonic() + QUIET_SECONDS_MAX
    while psutil.cpu_percent(SAMPLE_SECONDS) > QUIET_PERCENT and time.monotonic() < give_up:
        pass


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return " ".join(model.replace("(R)", "").replace("(TM)", "").replace(" Processor", "").split())
