"""Where a checkpoint that was carried to a node lies, until the replica that goes on from it is forgotten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.node.replica_folder import check_replica_id
from lepton_ai.types.checkpoint import StoredFile


@dataclass(frozen=True, slots=True)
class CarriedVersion:
    """A checkpoint whose files were carried to the node beforehand, each under its place in `stored`."""

    name: str
    stored: tuple[StoredFile, ...]
    folder: str = ""  # on the node

    def files(self) -> Sequence[StoredFile]:
        return self.stored

    def open(self, file: StoredFile) -> BinaryIO:
        return (Path(self.folder) / str(self.stored.index(file))).open("rb")


class Landing:
    """Where carried files lie on a node until their replica is forgotten."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, replica_id: str, nth: int, offset: int, piece: bytes) -> None:
        """Write a piece of file `nth`; to repeat it does no harm. Raises OSError."""
        folder = self._of(replica_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / str(nth), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, piece, offset)
            os.ftruncate(fd, offset + len(piece))
        finally:
            os.close(fd)

    def placed(self, order: ReplicaOrder) -> ReplicaOrder:
        """Return the order with the place where the files of its checkpoint lie here."""
        carried = order.resumes_from
        if not isinstance(carried, CarriedVersion):
            return order
        return replace(order, resumes_from=replace(carried, folder=str(self._of(order.replica_id))))

    def clear(self, replica_id: str) -> None:
        """Delete what was carried for a replica."""
        shutil.rmtree(self._of(replica_id), ignore_errors=True)

    def _of(self, replica_id: str) -> Path:
        return self._folder / check_replica_id(replica_id)
