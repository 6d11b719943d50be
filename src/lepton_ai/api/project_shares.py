"""What the shares of a project must be before they are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lepton_ai.errors import Conflict, InvalidInput
from lepton_ai.kernel.change import Change, update
from lepton_ai.kernel.spending import upwards
from lepton_ai.types.identity import Project, ProjectSpec
from lepton_ai.types.quantity import format_bytes
from lepton_ai.types.share import Ceiling

NAMES_SHOWN = 20


def check_shares(project: Project, others: Collection[Project]) -> None:
    """Raise InvalidInput for a parent that cannot be, and for bounds that contradict each other."""
    known = {one.name: one for one in others if one.name != project.name} | {project.name: project}
    _check_parent(project, {name: one.spec.parent for name, one in known.items()})
    _check_own(project)
    for parent in {project.name, project.spec.parent} & known.keys():
        _check_sum(known[parent], [one for one in known.values() if one.spec.parent == parent])


def check_nobody_below(project: Project, others: Collection[Project]) -> None:
    """Raise Conflict while other projects are below this one."""
    below = sorted(one.name for one in others if one.spec.parent == project.name)
    if below:
        raise Conflict(
            f"Project {project.name!r} has {len(below)} below it, such as {below[0]!r}.",
            hint=f"Move or delete them first: lepton project set {below[0]} --parent ''",
        )


def hold_those_above(project: Project, before: Project | None, others: Collection[Project]) -> Sequence[Change]:
    """Return changes that fail if a project above this one is changed at the same moment.

    Two that are checked at once would promise more together than is there, or end up below each other.
    """
    spec, was = project.spec, before.spec if before is not None else ProjectSpec()
    if (spec.parent, spec.quota) == (was.parent, was.quota):
        return ()
    known = {one.name: one for one in others}
    return [update(known[name]) for name in upwards(spec.parent, known)]


def _check_parent(project: Project, parents: dict[str, str]) -> None:
    parent = project.spec.parent
    if parent and parent not in parents:
        names = ", ".join(sorted(parents.keys() - {project.name})[:NAMES_SHOWN])
        raise InvalidInput(f"There is no project {parent!r} to be below.", hint=f"Known: {names}.")
    seen = [project.name]
    while parent:
        if parent in seen:
            path = " -> ".join([*seen, parent])
            raise InvalidInput(f"Project {project.name!r} would be below itself: {path}.", hint="Name another parent.")
        seen.append(parent)
        parent = parents.get(parent, "")


def _check_own(project: Project) -> None:
    spec = project.spec
    limits = spec.limit.named()
    for name, promised in spec.quota.named().items():
        if promised > limits.get(name, promised):
            raise InvalidInput(
                f"The quota of {_said(name, promised)} is beyond the limit of {_said(name, limits[name])}.",
                hint="Raise the limit, or lower the quota.",
            )
    for name, ceiling in (("device-hours", spec.budget.device_hours), ("money", spec.budget.money)):
        _check_ceiling(name, ceiling)


def _check_ceiling(name: str, ceiling: Ceiling) -> None:
    if ceiling.soft is not None and ceiling.hard is not None and ceiling.soft > ceiling.hard:
        raise InvalidInput(
            f"The soft bound of {ceiling.soft:g} {name} is beyond the hard one of {ceiling.hard:g}.",
            hint="At the soft bound new work waits behind others, at the hard one nothing starts: soft comes first.",
        )


def _check_sum(parent: Project, below: Collection[Project]) -> None:
    for name, promised in parent.spec.quota.named().items():
        parts = {one.name: one.spec.quota.named().get(name, 0.0) for one in below}
        if sum(parts.values()) > promised:
            listed = ", ".join(f"{one} {_said(name, part)}" for one, part in sorted(parts.items()) if part)
            raise InvalidInput(
                f"The projects below {parent.name!r} are promised {_said(name, sum(parts.values()))} together, "
                f"{parent.name!r} itself only {_said(name, promised)}.",
                hint=f"Lower one of them or raise {parent.name!r}: {listed}.",
            )


def _said(name: str, amount: float) -> str:
    return f"{format_bytes(round(amount))} of memory" if name == "memory" else f"{amount:g} {name}"
