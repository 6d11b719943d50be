"""The figures of a replay by project: how much each held, how long it waited, what it borrowed and gave back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.fleet import Fleet
from lepton_ai.kernel.scheduling.project_tree import DEVICES, ProjectTree
from lepton_ai.kernel.scheduling.snapshot import ProjectView
from lepton_ai.simulation.engine import Outcome
from lepton_ai.simulation.waits import Waits, waits_of
from lepton_ai.types.base import Model

Floats = npt.NDArray[np.float64]
HOUR = 3600.0


class ProjectFigures(Model):
    """What one project and all below it got. Hours are of devices, or of CPUs where the fleet has no devices."""

    project: str
    waits: Waits
    share: float  # mean dominant share: the largest of the fractions of all CPUs, memory and devices that it held
    hours: float  # that it held
    borrowed_hours: float | None = None  # held beyond what it is promised; None where it is promised none of that
    reclaimed: int = 0  # how often a task of it was stopped so that another project got what it is promised


def by_project(outcome: Outcome, projects: Sequence[ProjectView], until: float) -> tuple[ProjectFigures, ...]:
    """Return the figures of each project over 0..until seconds; none if there is but one, which shares nothing."""
    tasks = outcome.trace.tasks
    named = {view.name for view in projects} | {task.project for task in tasks if task.project}
    if not projects and len(named) < 2:
        return ()
    known = {view.name: view for view in projects}
    tree = ProjectTree([known.get(name, ProjectView(name)) for name in sorted(named)], Fleet(outcome.nodes))
    of_task = [tree.number.get(task.project, -1) for task in tasks]
    held, waits = _Held(outcome, tree, of_task), _waits(outcome, tree, of_task)
    reclaimed = Counter(row for task in outcome.reclaims if of_task[task] >= 0 for row in tree.chains[of_task[task]])
    return tuple(
        ProjectFigures(
            project=view.name,
            waits=waits_of(np.array(waits[row])),
            share=held.share(row, until),
            hours=held.hours(row),
            borrowed_hours=held.borrowed_hours(row),
            reclaimed=reclaimed[row],
        )
        for row, view in enumerate(tree.views)
    )


def _waits(outcome: Outcome, tree: ProjectTree, of_task: Sequence[int]) -> list[list[float]]:
    found: list[list[float]] = [[] for _ in tree.views]
    for task, end in outcome.ends.items():
        recorded = outcome.trace.tasks[task]
        for row in tree.chains[of_task[task]] if of_task[task] >= 0 else ():
            found[row].append(max(end - recorded.submitted - recorded.seconds, 0.0))
    return found


class _Held:
    """What each project held when, in the dimensions of the tree."""

    def __init__(self, outcome: Outcome, tree: ProjectTree, of_task: Sequence[int]) -> None:
        self._tree = tree
        self._unit = DEVICES if tree.totals[DEVICES] else 0  # what hours are counted in
        counts = {(node.name, device.id): tree.counts(device.kind) for node in outcome.nodes for device in node.devices}
        self._times = np.array([(one.start, one.end) for one in outcome.stretches]).reshape(-1, 2)
        self._amounts = np.zeros((len(outcome.stretches), len(tree.totals)))
        self._of: list[list[int]] = [[] for _ in tree.views]  # the stretches of each project and of those below it
        for number, stretch in enumerate(outcome.stretches):
            for row in tree.chains[of_task[stretch.task]] if of_task[stretch.task] >= 0 else ():
                self._of[row].append(number)
            for part in stretch.allocations:
                self._amounts[number, :DEVICES] += part.cpu_milli, part.memory_bytes
                for device in part.devices:
                    self._amounts[number, counts[part.node, device.device_id]] += device.share_milli

    def share(self, row: int, until: float) -> float:
        """Return the dominant one of the mean shares of everything there is."""
        means = self._areas(row).sum(axis=0) / until if until > 0 else np.zeros(len(self._tree.totals))
        return self._tree.share(means[: DEVICES + 1].tolist() + [0] * (len(self._tree.totals) - DEVICES - 1))

    def hours(self, row: int) -> float:
        """Return the hours of devices, or of CPUs, that were held."""
        return float(self._areas(row)[:, self._unit].sum()) / 1000 / HOUR

    def borrowed_hours(self, row: int) -> float | None:
        """Return the hours that were held beyond the promise; of several kinds of devices, those of each."""
        promised = self._tree.promised[row]
        kinds = range(DEVICES + 1, len(promised)) if self._unit == DEVICES and promised[DEVICES] < 0 else ()
        said = [at for at in (self._unit, *kinds) if promised[at] >= 0]
        beyond = sum(self._beyond(row, at, promised[at]) for at in said)
        return beyond / 1000 / HOUR if said else None

    def _areas(self, row: int) -> Floats:
        rows = self._of[row]
        found: Floats = self._amounts[rows] * (self._times[rows, 1] - self._times[rows, 0])[:, None]
        return found

    def _beyond(self, row: int, at: int, promised: float) -> float:
        """Return the area of what was held of one dimension above `promised`."""
        rows = self._of[row]
        times = self._times[rows].T.reshape(-1)
        steps = np.concatenate([self._amounts[rows, at], -self._amounts[rows, at]])
        order = np.argsort(times, kind="stable")
        level = np.cumsum(steps[order])[:-1]
        return float((np.maximum(level - promised, 0.0) * np.diff(times[order])).sum())
