"""A checkpoint: what a program saved of its work, from which a later attempt goes on, on whichever node."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from lepton_ai.types.base import Model
from lepton_ai.types.bucket import check_object_name
from lepton_ai.types.quantity import Duration

DIRECTORY_VARIABLE = "LEPTON_CHECKPOINT_DIR"  # where the program writes its versions
RESUMED_VARIABLE = "LEPTON_RESUMED_FROM"  # the name of the version that lies there when it starts; empty for none
KEEP_MAX = 100
DEFAULT_SAVE_WITHIN = timedelta(minutes=10)
FOLDER_LENGTH_MAX = 200


def _check_folder(folder: str) -> str:
    parts = folder.split("/")
    if len(folder) > FOLDER_LENGTH_MAX or any(part in {"", ".", ".."} for part in parts) or not folder.isprintable():
        raise ValueError(
            f"{folder[:80]!r} is no folder of the working directory: write a path in it, such as out/steps"
        )
    return folder


def _check_marker(marker: str) -> str:
    if marker and ("/" in marker or not marker.isprintable() or marker in {".", ".."}):
        raise ValueError(f"{marker[:80]!r} is not the name of a file in each version, such as trainer_state.json")
    return marker


class CheckpointPolicy(Model):
    """Where a program writes its checkpoints, and how the platform keeps them.

    Each file or folder right in `folder` is a version once it has its final name: programs write under another one
    (`.tmp` at the end, or a `.` in front) and rename it. One that writes folders in place says which file in
    each comes last (`marker`).
    """

    folder: Annotated[str, AfterValidator(_check_folder)] = "checkpoint"
    keep: Annotated[int, Field(ge=1, le=KEEP_MAX)] = 2
    marker: Annotated[str, Field(max_length=200), AfterValidator(_check_marker)] = ""
    save_within: Duration = DEFAULT_SAVE_WITHIN  # how long an ended replica's devices may wait for its last version


class Checkpoint(Model):
    """A version that is complete in the store. `number` counts up for each task of a job; `ran` is the work in it."""

    number: int
    name: str
    files: int
    size_bytes: int
    saved_at: AwareDatetime
    attempt: int
    ran: Duration = timedelta(0)  # all attempts together

    def __str__(self) -> str:
        return f"{self.name} ({self.files} file{'' if self.files == 1 else 's'}, {self.size_bytes:,} B)"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a version; `path` is relative to the version, and empty where the version is a single file."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A complete version as it lies on a node. `changed_at`: when anything of it last changed, by the node's clock."""

    name: str
    changed_at: float
    files: tuple[FoundFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)


class StoredFile(Model):
    """One file of a stored version: which object holds it, in which version of that object."""

    path: str
    size: Annotated[int, Field(ge=0)]
    object_name: Annotated[str, AfterValidator(check_object_name)]
    object_version: str


class Manifest(Model):
    """What makes a version complete: put last, once, under its number."""

    checkpoint: Checkpoint
    changed_at: float
    files: tuple[StoredFile, ...]

    def is_of(self, found: FoundVersion, attempt: int) -> bool:
        """Tell whether this is what was found, of the same attempt."""
        mine = (self.checkpoint.attempt, self.checkpoint.name, self.changed_at)
        return mine == (attempt, found.name, found.changed_at)
