"""Bundles and pickled calls on a node: fetched once through Ray's object store, kept for a while."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from lepton_ai.backends.blobs import BlobStore
from lepton_ai.errors import NotFound

KEPT_BYTES_MAX = 2 * 1024**3  # 4 bundles of the largest size that settings allow by default
IN_USE_SECONDS = 3600.0  # preparing a replica takes minutes: what was asked for this lately stays, whatever its size


class NodeBlobs:
    """Blobs under `folder`; where the core's own store is on this machine too, in `core_folder`, it is read first."""

    def __init__(self, folder: Path, core_folder: Path, *, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._folder = folder
        self._fetched = BlobStore(folder)
        self._kept_bytes_max = kept_bytes_max
        self._stores = (BlobStore(core_folder), self._fetched)

    def has(self, digest: str) -> bool:
        """Tell whether the blob is here; if so, it stays for an hour."""
        for store in self._stores:
            if store.has(digest):
                os.utime(store.path(digest))
                return True
        return False

    def put(self, digest: str, content: bytes) -> None:
        """Keep the blob; raises InvalidInput if it is not what its digest says, StorageFailed."""
        self._fetched.put(digest, [content], bytes_max=len(content))
        self._trim()

    def open(self, digest: str) -> BinaryIO:
        """Open the blob; raises NotFound."""
        for store in self._stores:
            if store.has(digest):
                return store.open(digest)
        raise NotFound(f"The blob {digest} is not on this node.", hint="Submit the work again.")

    def _trim(self) -> None:
        """Delete the least recently used blobs beyond the bound."""
        found = [(path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.glob("??/*")]
        total = sum(size for _, size, _ in found)
        # A file's own times are the system's, not a decision's: no clock of ours is asked.
        newest = max((used for used, _, _ in found), default=0.0)
        for used, size, path in sorted(found):
            if total <= self._kept_bytes_max or newest - used < IN_USE_SECONDS:
                return
            path.unlink(missing_ok=True)
            total -= size
