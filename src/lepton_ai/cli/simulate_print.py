"""How `lepton simulate` shows its figures: tables, curves and a Gantt picture in characters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

import typer

from lepton_ai.cli.moment import clock_time, span
from lepton_ai.cli.output import console, print_table, to_plain
from lepton_ai.cli.simulate_projects import named, run_title, show_projects
from lepton_ai.simulation.chart import LINES_MAX, node_chart, task_chart
from lepton_ai.simulation.compare import Played, Recorded
from lepton_ai.simulation.figures import Figures, Use
from lepton_ai.simulation.trace import Trace
from lepton_ai.simulation.waits import Waits

LEVELS = " ▁▂▃▄▅▆▇█"
NAMES = {"devices": "Devices", "cpu": "CPUs"}
_Row = tuple[str, float | None, Sequence[float], Callable[[float], str]]  # title, as recorded, of each run, in words
WIDTH_MAX, LABEL_MAX = 120, 24


def as_plain(trace: Trace, recorded: Recorded | None, runs: Sequence[Figures]) -> dict[str, object]:
    """Return everything as what JSON knows; seconds and shares of 0..1 throughout."""
    told = {
        "source": trace.source,
        "format": trace.format,
        "tasks": len(trace.tasks),
        "skipped": dict(trace.skipped),
        "notes": list(trace.notes),
        "began": trace.began.isoformat() if trace.began else None,
        "span_seconds": trace.span_seconds,
    }
    return {"trace": told, "recorded": to_plain(recorded), "runs": [to_plain(one) for one in runs]}


def show(trace: Trace, recorded: Recorded | None, played: Sequence[Played]) -> None:
    """Print what was replayed and what came of it, side by side."""
    runs = [one.figures for one in played]
    tasks = f"{len(trace.tasks):,} task{'' if len(trace.tasks) == 1 else 's'}"
    typer.echo(f"{tasks} of {trace.source} ({trace.format}), {_span(trace.span_seconds)} of arrivals")
    for reason, count in trace.skipped.items():
        typer.echo(f"Skipped: {count:,} {reason}")
    for note in trace.notes:
        typer.echo(note)
    typer.echo()
    _show_figures(recorded, runs)
    typer.echo()
    _show_sizes(runs)
    show_projects(runs)
    width = min(console().width, WIDTH_MAX)
    for use in _shown_uses(runs):
        typer.echo()
        _show_use(use, width)
    for one in played:
        typer.echo()
        _show_gantt(one, max(run.makespan for run in runs), width)


def _show_figures(recorded: Recorded | None, runs: Sequence[Figures]) -> None:
    titles = ["", *(["RECORDED>"] if recorded else []), *(f"{run.name.upper()}>" for run in runs)]
    if len(runs) == 2:
        titles.append("CHANGE>")
    rows = []
    for title, was, values, write in _figures(recorded, runs):
        cells = [title, *([] if recorded is None else ["-" if was is None else write(was)]), *map(write, values)]
        rows.append([*cells, _change(*values)] if len(values) == 2 else cells)
    print_table(titles, rows, empty="")
    for run in runs:
        for each in run.refused:
            typer.echo(f"{run.name}: {each.tasks:,} never ran ({each.reason}). The first: {each.sentence}.")


def _figures(recorded: Recorded | None, runs: Sequence[Figures]) -> Iterator[_Row]:
    was = recorded.waits if recorded else None
    yield "Nodes", None, [run.nodes for run in runs], _number
    yield "Tasks that ended", was.tasks if was else None, [run.ended for run in runs], _number
    yield "Wait, mean", was.mean if was else None, [run.waits.mean for run in runs], _span
    yield "Wait, median", was.p50 if was else None, [run.waits.p50 for run in runs], _span
    yield "Wait, p99", was.p99 if was else None, [run.waits.p99 for run in runs], _span
    completion = recorded.weighted_completion if recorded else None
    yield "Completion, weighted mean", completion, [run.weighted_completion for run in runs], _span
    yield "Until the last end", recorded.makespan if recorded else None, [run.makespan for run in runs], _span
    names = dict.fromkeys(use.resource for run in runs for use in run.uses if use.hours)
    kinds = [name for name in names if name not in NAMES]
    for name in [name for name in names if name in NAMES or len(kinds) > 1]:
        yield f"{NAMES.get(name, name)} in use", None, [_use(run, name).mean for run in runs], _share
    if any(run.devices for run in runs):
        yield "Device-hours there", None, [run.cost.device_hours for run in runs], _hours
        yield "Device-hours held", None, [run.cost.device_hours_held for run in runs], _hours
    if any(run.cost.price is not None for run in runs):
        yield "Cost of the fleet", None, [run.cost.price or 0.0 for run in runs], _number
        yield "Cost of what was held", None, [run.cost.price_held or 0.0 for run in runs], _number
    if any(run.preemptions for run in runs):
        yield "Preemptions", None, [run.preemptions for run in runs], _number


def _show_sizes(runs: Sequence[Figures]) -> None:
    found = [{each.size: each.waits for each in run.waits_by_size} for run in runs]
    rows = []
    for size in dict.fromkeys(size for each in found for size in each):
        for number, run in enumerate(runs):
            waits = found[number].get(size, Waits(tasks=0))
            cells = [_span(x) if waits.tasks else "-" for x in (waits.mean, waits.p50, waits.p99)]
            rows.append(["" if number else size, *named(run, runs), f"{waits.tasks:,}", *cells])
    print_table(["WAITS BY SIZE", *run_title(runs), "TASKS>", "MEAN>", "P50>", "P99>"], rows, empty="No task ended.")


def _shown_uses(runs: Sequence[Figures]) -> Iterator[list[tuple[str, Use, float]]]:
    """Yield the curves that belong together: of all devices if there are any, else of the CPUs."""
    name = "devices" if any(run.devices for run in runs) else "cpu"
    yield [(run.name, _use(run, name), run.makespan) for run in runs]


def _show_use(curves: Sequence[tuple[str, Use, float]], width: int) -> None:
    label = max(len(name) for name, _, _ in curves) + 2
    cells = width - label - 5
    longest = max(until for _, _, until in curves)
    what = "devices" if curves[0][1].resource == "devices" else "CPUs"
    typer.echo(f"Share of {what} in use over {_span(longest)}")
    for name, use, until in curves:
        line = spark(use.over_time, max(1, round(cells * until / longest)) if longest > 0 else cells)
        typer.echo(f"{name:<{label}}{line:<{cells}} {use.mean:>4.0%}".rstrip())


def spark(values: Sequence[float], cells: int) -> str:
    """Return shares of 0..1 as a line of bars, each cell the mean of what falls into it."""
    if not values:
        return ""
    ends = [round(cell * len(values) / cells) for cell in range(cells + 1)]
    parts = [values[a : max(b, a + 1)] or values[-1:] for a, b in pairwise(ends)]
    means = [sum(part) / len(part) for part in parts]
    # What is a little in use must not look idle.
    return "".join(LEVELS[0 if x <= 0 else min(max(1, round(x * 8)), 8)] for x in means)


def _show_gantt(one: Played, until: float, width: int) -> None:
    """Draw one replay over 0..until seconds, so that two of them can be held side by side."""
    by_task = len(one.outcome.trace.tasks) <= LINES_MAX
    cells = width - LABEL_MAX - 1
    chart = task_chart(one.outcome, until, cells) if by_task else node_chart(one.outcome, until, cells)
    what = "each task: · waits, █ runs" if by_task else "each node: darker is fuller"
    typer.echo(f"Gantt, {one.figures.name}, {what}")
    for label, line in chart:
        short = label if len(label) <= LABEL_MAX else label[: LABEL_MAX - 1] + "…"
        typer.echo(f"{short:<{LABEL_MAX}} {line}".rstrip())
    began = one.outcome.trace.began
    first, end = ("0", _span(until))
    if began:
        first, end = clock_time(began), clock_time(began + timedelta(seconds=until))
    typer.echo(f"{'':<{LABEL_MAX}} {first}{end:>{max(cells - len(first), len(end) + 1)}}")


def _use(run: Figures, resource: str) -> Use:
    return next((u for u in run.uses if u.resource == resource), Use(resource=resource, amount=0, mean=0, hours=0))


def _span(seconds: float) -> str:
    return span(timedelta(seconds=seconds), is_exact=True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _hours(value: float) -> str:
    return f"{value:,.1f} h"


def _change(before: float, after: float) -> str:
    if before == after:
        return "="
    return f"{(after - before) / before:+.0%}" if before > 0 else "new"
