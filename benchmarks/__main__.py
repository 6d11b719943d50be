"""Runs all benchmarks, or those that are named: `python -m benchmarks [NAME...]`.

Prints a table of each, writes build/benchmarks/NAME.json, and brings the sections in docs/benchmarks.md up to date.
Exits with 1 if a figure misses its goal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

from benchmarks import cluster, endpoint, event_loop, memory, standby, start, submit, throughput
from benchmarks.figure import Report
from benchmarks.machine import describe_machine, wait_for_quiet
from benchmarks.page import HEADER, insert_report
from benchmarks.scheduling import classes, control_plane, events, fleet, pass_time, simulation, traces
from benchmarks.storage import objects
from benchmarks.venv import BUILD, ROOT
from lepton_ai.kernel.clock import SystemClock

PAGE = ROOT / "docs" / "benchmarks.md"
BENCHMARKS: Mapping[str, Callable[[], Report]] = {
    "start": start.measure,
    "memory": memory.measure,
    "submit": submit.measure,
    "throughput": throughput.measure,
    "cluster": cluster.measure,
    "endpoint": endpoint.measure,
    "event_loop": event_loop.measure,
    "standby": standby.measure,
    "storage": objects.measure,
    "scheduling": pass_time.measure,
    "scheduling_events": events.measure,
    "scheduling_traces": traces.measure,
    "scheduling_classes": classes.measure,
    "scheduling_control_plane": control_plane.measure,
    "scheduling_fleet": fleet.measure,
    "scheduling_simulation": simulation.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}")
    reports = [run(name) for name in names or BENCHMARKS]
    return int(not all(figure.is_met for report in reports for figure in report.figures))


def run(name: str) -> Report:
    """Run one benchmark, print it, and write it down."""
    wait_for_quiet()
    found = BENCHMARKS[name]()
    report = found.model_copy(update={"date": f"{SystemClock().now():%Y-%m-%d}", "machine": describe_machine()})
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.json").write_text(report.model_dump_json(indent=2) + "\n")
    PAGE.write_text(insert_report(PAGE.read_text(), report))
    show(report)
    return report


def show(report: Report) -> None:
    """Print a report as a table, with its notes below."""
    console = Console()
    table = Table(*HEADER, title=f"{report.title} ({report.date}, {report.machine})", title_justify="left")
    for figure in report.figures:
        table.add_row(*(cell.replace("`", "") for cell in figure.row()))
    console.print(table)
    for note in report.notes:
        console.print(f"- {note}", markup=False, highlight=False)
    console.print()


if __name__ == "__main__":
    sys.exit(main())
