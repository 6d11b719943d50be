"""Objects as files in a folder of this machine: no server, no port, nothing to tend."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lepton_ai.errors import StorageFailed
from lepton_ai.types.bucket import StoreKind, StoreTarget


class LocalStores:
    """Keeps each bucket in a folder of its own under `folder`, which only its owner may enter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def target(self, project_id: str, bucket_id: str, *, may_write: bool) -> StoreTarget:
        """Return where the bucket's objects lie.

        Programs of the owner of the state folder reach all of it (ADR 0011); what they find is sealed.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _refused(self._folder, error) from error
        return StoreTarget(
            kind=StoreKind.LOCAL, location=str(self._folder.absolute()), prefix=f"{project_id}/{bucket_id}"
        )

    def empty(self, project_id: str, bucket_id: str) -> bool:
        """Delete the bucket's objects."""
        folder = self._folder / project_id / bucket_id
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise _refused(folder, error) from error
        return True

    def tend(self) -> None:
        """There is nothing that could have died."""

    def on_death(self, wake: Callable[[], None]) -> None:
        """Nothing here runs, so nothing dies."""

    def stop(self) -> None:
        """There is nothing to end."""


def _refused(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"The folder of the buckets cannot be written: {path}: {error.strerror or error}.",
        hint="Check its owner, its mode and the disk's free space.",
    )
