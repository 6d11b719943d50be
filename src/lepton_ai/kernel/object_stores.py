"""What keeps the objects of buckets: told by the core, used by clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lepton_ai.types.bucket import StoreTarget


class ObjectStores(Protocol):
    """A folder of this machine, an embedded SeaweedFS, or an S3 service; `MemoryStores` in `testing`."""

    def target(self, project_id: str, bucket_id: str, *, may_write: bool) -> StoreTarget:
        """Return where the bucket's objects lie, once they can be reached; raises Unavailable or StorageFailed."""

    def empty(self, project_id: str, bucket_id: str) -> bool:
        """Delete objects of the bucket for a bounded while; tell whether none is left. Safe to repeat."""

    def tend(self) -> None:
        """Bring back what should run and does not."""

    def on_death(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from a thread of its own, when something has ended that `tend` would bring back."""

    def stop(self) -> None:
        """End what was started: the platform goes down."""
