"""How the scheduler sees projects: what each is promised, may hold at most, and borrow."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from lepton_ai.kernel.scheduling.snapshot import Bounds, ProjectView
from lepton_ai.types.identity import Project, ProjectSpec
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI
from lepton_ai.types.share import ANY_DEVICE, Amounts


def views_of(projects: Collection[Project]) -> tuple[ProjectView, ...]:
    """Return how the scheduler sees the projects: not at all while none has a share of its own."""
    if not any(one.spec.has_shares() for one in projects):
        return ()
    return tuple(_project(one) for one in sorted(projects, key=lambda one: one.name))


def _project(project: Project) -> ProjectView:
    spec, status = project.spec, project.status
    view = sharing(project.name, spec)
    return replace(view, budget=status.state, budget_text=status.bound, stops=spec.budget.stop)


def sharing(name: str, spec: ProjectSpec) -> ProjectView:
    """Return how a project shares the machines with others, as long as its budget lasts."""
    return ProjectView(
        name=name,
        parent=spec.parent,
        quota=_bounds(spec.quota),
        limit=_bounds(spec.limit),
        weight=spec.weight,
        may_borrow=spec.borrow,
    )


def _bounds(amounts: Amounts) -> Bounds:
    return Bounds(
        None if amounts.cpu is None else round(amounts.cpu * 1000),
        amounts.memory,
        {
            "" if kind == ANY_DEVICE else kind.lower(): round(count * WHOLE_DEVICE_MILLI)
            for kind, count in amounts.accelerators.items()
        },
    )
