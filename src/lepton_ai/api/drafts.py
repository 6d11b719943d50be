"""An object as a user asks for it: what may be said of its metadata, and its spec."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, StringConstraints

from lepton_ai.types.base import LABELS_MAX, Label, Model, Name

LABEL_KEY_MAX = 128
RESERVED = "watch"  # stands where names stand in URLs: `GET /api/v1/projects/{project}/jobs/watch`

S = TypeVar("S", bound=Model)


def check_new_name(name: str) -> str:
    """Return `name` if a new object may have it; raises ValueError otherwise."""
    if name == RESERVED:
        raise ValueError(f"{name!r} is part of the API's own URLs; choose another name")
    return name


NewName = Annotated[Name, AfterValidator(check_new_name)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_KEY_MAX)]


class DraftMetadata(Model):
    """What a user may say of an object's metadata. Without a name, one is made."""

    name: NewName | None = None
    labels: Annotated[dict[LabelKey, Label], Field(max_length=LABELS_MAX)] = {}


class Draft(Model, Generic[S]):
    """An object as a user asks for it."""

    kind: str = ""
    metadata: DraftMetadata = DraftMetadata()
    spec: S


AnyDraft = Draft[Any]


class Relabelled(Model):
    """The part of a merge patch's outcome that a draft would hold too, checked as a draft is."""

    metadata: DraftMetadata
