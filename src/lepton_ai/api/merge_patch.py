"""Changes an object's spec and labels as a JSON merge patch says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from lepton_ai.api.drafts import Relabelled
from lepton_ai.errors import InvalidInput
from lepton_ai.types.base import AnyObject
from lepton_ai.types.merge import merge

T = TypeVar("T", bound=AnyObject)


@dataclass(frozen=True, slots=True)
class Patch:
    """What to merge in, and into which version; 0 into whichever there is."""

    changes: dict[str, Any]
    version: int = 0


def check(patch: Patch) -> None:
    """Raise InvalidInput for a patch of something that users cannot change."""
    metadata = patch.changes.get("metadata", {})
    if not isinstance(metadata, dict):
        raise InvalidInput("metadata: must be an object.", hint='Send {"metadata": {"labels": {...}}}.')
    unknown = sorted(patch.changes.keys() - {"spec", "metadata"}) or sorted(metadata.keys() - {"labels"})
    if unknown:
        raise InvalidInput(f"{unknown[0][:80]!r} cannot be changed.", hint="Change spec or metadata.labels.")


def merged(before: T, patch: Patch) -> T:
    """Return the object with the patch merged in and checked; raises ValidationError."""
    whole = before.model_dump(mode="json")
    after = merge({"spec": whole["spec"], "metadata": {"labels": whole["metadata"]["labels"]}}, patch.changes)
    labels = after["metadata"].get("labels", {})
    checked = Relabelled.model_validate({"metadata": {"labels": labels}}).metadata
    spec = type(before).model_validate(whole | {"spec": after.get("spec")}).spec
    return before.replace(spec=spec, metadata=before.metadata.replace(labels=dict(checked.labels)))
