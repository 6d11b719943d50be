"""Draws replays with matplotlib: utilisation over time, waits by size, and who ran where."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_ai.errors import InvalidInput
from lepton_ai.simulation.engine import Outcome
from lepton_ai.simulation.figures import SIZES, Figures, Held, held_over_time
from lepton_ai.simulation.waits import Waits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".svg", ".png", ".html")
PROJECTS_MAX = 12  # beside one another, with their names
NODES_MAX, CELLS = 400, 400  # a picture of 400 x 400 cells is as fine as a screen shows it
Drawn = Sequence[tuple[Figures, Outcome]]


def prepare(path: Path) -> Callable[[Drawn], None]:
    """Return what draws into `path`; raises InvalidInput at once if the ending is unknown or matplotlib is missing."""
    if path.suffix.lower() not in ENDINGS:
        raise InvalidInput(f"{path.name} ends in none of {', '.join(ENDINGS)}.", hint="Try --plot week.svg")
    if not path.parent.is_dir():
        raise InvalidInput(f"There is no folder {str(path.parent)!r} to draw into.")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "Install it with: pip install 'lepton-ai[plot]'. The terminal shows the same without it."
        raise InvalidInput("Drawing needs matplotlib, which is not installed.", hint=hint) from error
    return lambda runs: _write(path, _figure(Figure, runs))


def _figure(make: type[Figure], runs: Drawn) -> Figure:
    figure = make(figsize=(11, 6.5 + 2.5 * len(runs)), layout="constrained")
    has_projects = bool(runs[-1][0].projects)
    axes = figure.subplots(2 + has_projects + len(runs), 1)
    longest = max(figures.makespan for figures, _ in runs)
    unit, name = (86_400.0, "days") if longest > 2 * 86_400 else (3600.0, "hours")
    _draw_use(axes[0], runs, unit)
    sizes = [{one.size: one.waits for one in figures.waits_by_size} for figures, _ in runs]
    _draw_waits(axes[1], runs, sizes, SIZES)
    if has_projects:
        waits = [{one.project: one.waits for one in figures.projects} for figures, _ in runs]
        largest = sorted(runs[-1][0].projects, key=lambda one: -one.hours)[:PROJECTS_MAX]
        _draw_waits(axes[2], runs, waits, sorted(one.project for one in largest))
    for place, (figures, outcome) in zip(axes[2 + has_projects :], runs, strict=True):
        _draw_nodes(place, figures, outcome, unit)
        place.set_xlim(0, longest / unit or 1)
        place.set_xlabel(name)
    axes[0].set_xlim(0, longest / unit or 1)
    axes[0].set_xlabel(name)
    return figure


def _draw_use(axes: Axes, runs: Drawn, unit: float) -> None:
    for figures, _ in runs:
        use = figures.uses[0]
        edges = np.linspace(0, figures.makespan / unit, len(use.over_time) + 1)
        axes.stairs([100 * share for share in use.over_time], edges, label=f"{figures.name}: {use.mean:.0%}")
    axes.set_ylabel(f"% of {'CPUs' if runs[0][0].uses[0].resource == 'cpu' else 'devices'} in use")
    axes.set_ylim(0, 105)
    axes.legend(loc="upper right")


def _draw_waits(axes: Axes, runs: Drawn, found: Sequence[Mapping[str, Waits]], names: Sequence[str]) -> None:
    """Draw the waits of each run by name, those that any of them has, in the order of `names`."""
    sizes = [name for name in names if any(name in waits for waits in found)]
    for number, ((figures, _), waits) in enumerate(zip(runs, found, strict=True)):
        means = [waits[size].mean / 60 if size in waits else 0.0 for size in sizes]
        tails = [waits[size].p99 / 60 if size in waits else 0.0 for size in sizes]
        places = np.arange(len(sizes)) + (number - (len(runs) - 1) / 2) * 0.4
        drawn = axes.bar(places, means, 0.36, label=f"{figures.name}, mean")
        axes.plot(places, tails, "_", markersize=18, color=drawn[0].get_facecolor() if sizes else None)
    axes.set_xticks(range(len(sizes)), sizes)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
    axes.set_ylabel("minutes of wait (line: p99)")
    axes.legend(loc="upper right")


def _draw_nodes(axes: Axes, figures: Figures, outcome: Outcome, unit: float) -> None:
    shown = outcome.nodes[:NODES_MAX]
    row_of = {node.name: row for row, node in enumerate(shown)}
    held: list[list[Held]] = [[] for _ in shown]
    for stretch in outcome.stretches:
        for each in stretch.allocations:
            row = row_of.get(each.node)
            if row is not None:
                devices = sum(device.share_milli for device in each.devices)
                amount = devices if shown[row].devices else each.cpu_milli
                held[row].append((stretch.start, stretch.end, float(amount)))
    from matplotlib.ticker import MaxNLocator  # Late: matplotlib is an extra.

    rooms = [sum(device.share_milli for device in node.devices) or node.cpu_milli or 1 for node in shown]
    shares = [held_over_time(each, figures.makespan, CELLS) / room for each, room in zip(held, rooms, strict=True)]
    extent = (0.0, figures.makespan / unit or 1.0, len(shown) - 0.5, -0.5)
    axes.imshow(shares, aspect="auto", vmin=0, vmax=1, cmap="Blues", extent=extent, interpolation="nearest")
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))  # there is no node 0.5
    axes.set_ylabel("node")
    more = f" (the first {NODES_MAX} of {len(outcome.nodes):,} nodes)" if len(outcome.nodes) > NODES_MAX else ""
    axes.set_title(f"{figures.name}: who is how full{more}", loc="left")


def _write(path: Path, figure: Figure) -> None:
    ending = path.suffix.lower()
    try:
        if ending != ".html":
            figure.savefig(path, dpi=120, metadata={"Date": None} if ending == ".svg" else None)
            return
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
        picture = drawn.getvalue().partition("<svg")
        title = escape(path.stem)
        path.write_text(
            f"<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>{title}</title>\n"
            f"<body style='margin:1em'>{picture[1]}{picture[2]}</body></html>\n"
        )
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from error
