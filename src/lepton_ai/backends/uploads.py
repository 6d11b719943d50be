"""Who uploaded which blob: blobs are stored once, but a project sees only what it sent itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton_ai.backends.blobs import BlobStore, BlobWriter, check_digest
from lepton_ai.errors import InvalidInput, StorageFailed
from lepton_ai.types.base import check_name


class ProjectUploads:
    """An empty file per (project, digest) under `folder` says that the project has sent that blob."""

    def __init__(self, blobs: BlobStore, folder: Path, bytes_max: int) -> None:
        self._blobs = blobs
        self._folder = folder
        self._bytes_max = bytes_max

    def has(self, project: str, digest: str) -> bool:
        """Tell whether the project uploaded it and it is still here."""
        return self._mark(project, digest).exists() and self._blobs.has(digest)

    @contextmanager
    def receive(self, project: str, digest: str) -> Iterator[BlobWriter]:
        """Give a writer; on leaving, the blob is kept and marked as the project's if its digest is right."""
        mark = self._mark(project, digest)
        with self._blobs.receive(digest, bytes_max=self._bytes_max) as writer:
            yield writer
        try:
            mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            mark.touch(mode=0o600)
        except OSError as error:
            raise StorageFailed(f"{mark} cannot be written: {error.strerror}.", hint="Free some disk space.") from error

    def forget(self, project: str) -> None:
        """Forget what the project uploaded, so that a later one of that name does not have it."""
        shutil.rmtree(self._folder / _checked(project), ignore_errors=True)

    def _mark(self, project: str, digest: str) -> Path:
        return self._folder / _checked(project) / check_digest(digest).removeprefix("sha256:")


def _checked(project: str) -> str:
    try:
        return check_name(project)
    except ValueError as error:
        raise InvalidInput(f"{error}.") from error
