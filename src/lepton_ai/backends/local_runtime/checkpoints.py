"""The checkpoint folders of this node's replicas: what they completed, and what is laid there before they start."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lepton_ai.backends.local_runtime.roster import Roster
from lepton_ai.errors import NotFound, StorageFailed, Unavailable
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.node.checkpoint_folder import QUIET_SECONDS, find_versions, lay_down, read_piece
from lepton_ai.node.supervisor import records
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion

TRIES = 8  # of a store that does not answer: 1 + 2 + 4 ... 64 s between them, two minutes in all
PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class NodeCheckpoints:
    """What the local runtime knows of checkpoints. Nothing is remembered: the folders tell."""

    def __init__(self, roster: Roster, clock: Clock, pause: Callable[[float], None] = time.sleep) -> None:
        self._roster = roster
        self._clock = clock
        self._pause = pause

    def find(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        """Return the complete versions of a replica that runs or has ended; raises InvalidInput for a strange one."""
        entry = self._roster.get(replica_id)
        if entry is None:
            return ()
        before = math.inf if entry.has_ended else self._clock.now().timestamp() - QUIET_SECONDS
        return find_versions(entry.folder.path / records.WORK, policy, before)

    def read(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        """Return a piece of a file; raises NotFound."""
        entry = self._roster.get(replica_id)
        if entry is None:
            raise NotFound(f"There is no replica {replica_id!r} here.")
        return read_piece(entry.folder.path / records.WORK, path, offset, limit)

    def lay_down(self, order: ReplicaOrder, work: Path, tell: Callable[[str], None]) -> None:
        """Make a replica's checkpoint folder, with the version that it goes on from; a store that is away is waited
        for. Raises what `checkpoint_folder.lay_down` does."""
        policy = order.program.checkpoint
        if policy is None:
            return
        for nth in range(TRIES):
            try:
                lay_down(work, policy, order.resumes_from, tell)
            except (StorageFailed, Unavailable) as error:
                if nth == TRIES - 1:
                    raise
                _log.warning("checkpoint not laid down", extra={"replica": order.replica_id, "error": error.message})
                tell(f"the checkpoint cannot be had yet: {error.message}")
                self._pause(PAUSE_SECONDS * 2**nth)
            else:
                return
