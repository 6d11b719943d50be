"""A file of a version as it lies on a node, read piece by piece through the runtime."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from lepton_ai.errors import NotFound
from lepton_ai.kernel.runtime import Runtime
from lepton_ai.types.checkpoint import FoundFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE_BYTES = 8 * 1024 * 1024  # one call to another node: 10 ms on a line of 10 Gbit/s


def open_on_node(runtime: Runtime, replica_id: str, folder: str, version: str, file: FoundFile) -> BinaryIO:
    """Return a file of a replica's version to read; reading raises NotFound once it is not what was found."""
    path = "/".join(part for part in (folder, version, file.path) if part)
    return io.BufferedReader(_Pulled(runtime, replica_id, path, file.size), buffer_size=PIECE_BYTES)


class _Pulled(io.RawIOBase):
    def __init__(self, runtime: Runtime, replica_id: str, path: str, size: int) -> None:
        self._runtime, self._replica_id, self._path = runtime, replica_id, path
        self._size, self._position = size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        out = memoryview(buffer).cast("B")
        left = min(len(out), self._size - self._position, PIECE_BYTES)
        if left <= 0:
            return 0
        piece = self._runtime.read_checkpoint(self._replica_id, self._path, self._position, left)
        if not piece:
            raise NotFound(f"{self._path!r} of {self._replica_id} is shorter than it was.")
        out[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
