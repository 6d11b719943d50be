"""The projects that share the nodes in a replay: as the platform has them, and with other bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.project_views import sharing
from lepton_ai.kernel.scheduling.snapshot import ProjectView
from lepton_ai.types.identity import ProjectSpec
from lepton_ai.types.merge import merge

NAMES_SHOWN = 20
Specs = Mapping[str, ProjectSpec]  # by name


def what_if(specs: Specs, names: Iterable[str], patches: Mapping[str, Mapping[str, object]]) -> Specs:
    """Return `specs`, and plain ones for the other `names`, with `patches` merged in as the API merges them.

    Raises InvalidInput for a patch of a project that nobody knows, and for bounds that cannot be.
    """
    if not patches:
        return specs
    known = {name: ProjectSpec() for name in names if name} | dict(specs)
    for name, patch in patches.items():
        if name not in known:
            listed = ", ".join(sorted(known)[:NAMES_SHOWN])
            more = f" and {len(known) - NAMES_SHOWN:,} more" if len(known) > NAMES_SHOWN else ""
            hint = f"Known: {listed}{more}." if known else "The trace names no projects."
            raise InvalidInput(f"No project {name[:40]!r} has work in what is replayed.", hint=hint)
        known[name] = _patched(name, known[name], patch)
    return known


def shared_by(specs: Specs) -> tuple[ProjectView, ...]:
    """Return how the projects share the nodes: not at all while none says how. Budgets are those of today: left out."""
    if not any(spec.replace(budget=ProjectSpec().budget).has_shares() for spec in specs.values()):
        return ()
    return tuple(sharing(name, specs[name]) for name in sorted(specs))


def _patched(name: str, spec: ProjectSpec, patch: Mapping[str, object]) -> ProjectSpec:
    try:
        found = ProjectSpec.model_validate(merge(spec.model_dump(mode="json"), dict(patch)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = " ".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"Project {name!r}: {where}: {first['msg']}.", hint="Say h100=4,cpu=64,memory=1TB."
        ) from error
    limits = found.limit.named()
    for resource, promised in found.quota.named().items():
        if promised > limits.get(resource, promised):
            raise InvalidInput(
                f"Project {name!r} would be promised {promised:g} {resource} and hold {limits[resource]:g} at most.",
                hint="Raise the limit, or lower the quota.",
            )
    return found
