"""How much memory the platform holds when it has nothing to do: the core and the data plane together."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Report, at_most, told
from benchmarks.instance import Instance, running_instance
from benchmarks.work import submit_many, wait_for_all

IDLE_SECONDS = 10
JOBS = 100
MB_MAX = 150
KB = 1024
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of all processes of one platform. RSS counts pages that processes share once for each, PSS once."""

    rss: int
    pss: int
    core_pss: int


def measure() -> Report:
    """Weigh a fresh platform after a while of doing nothing, and again after it ran jobs."""
    with running_instance() as instance:
        time.sleep(IDLE_SECONDS)
        idle = held_by(instance)
        with instance.connect() as lepton:
            names = submit_many(lepton, JOBS)
            wait_for_all(lepton, names)
        time.sleep(IDLE_SECONDS)
        after = held_by(instance)
    figures = [
        at_most(f"resident, idle for {IDLE_SECONDS} s (RSS, all processes)", [idle.rss / MB], MB_MAX, "MB"),
        told("the same, shared pages counted once (PSS)", [idle.pss / MB], "MB"),
        told("of which the core (PSS)", [idle.core_pss / MB], "MB"),
        at_most(f"resident, idle after {JOBS} jobs (RSS, all processes)", [after.rss / MB], MB_MAX, "MB"),
        told("the same, shared pages counted once (PSS)", [after.pss / MB], "MB"),
    ]
    notes = ["All processes of the state folder: the core, HAProxy's master and its worker. Read from smaps_rollup."]
    return Report(name="memory", title="Memory at rest", figures=figures, notes=notes)


def held_by(instance: Instance) -> Held:
    """Weigh every process that has the state folder in its arguments or its environment."""
    rss = pss = core = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) == os.getpid() or not _belongs(folder, instance.home):
                continue
            rollup = (folder / "smaps_rollup").read_text()
            is_core = b"lepton_ai.app" in (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        rss += _field("Rss", rollup)
        pss += _field("Pss", rollup)
        core += _field("Pss", rollup) if is_core else 0
    assert core, "the core was not found among the processes"
    return Held(rss, pss, core)


def _belongs(process: Path, home: Path) -> bool:
    said = (process / "cmdline").read_bytes() + b"\0" + (process / "environ").read_bytes()
    return str(home).encode() in said


def _field(name: str, rollup: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) * KB if found else 0
