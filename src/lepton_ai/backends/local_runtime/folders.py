"""Where the replicas' folders are: one tree for what may still matter, one for logs of the past, one to delete from."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from lepton_ai.errors import StorageFailed
from lepton_ai.node.replica_folder import ReplicaFolder, check_replica_id


class Folders:
    """The folders below `root`. A folder changes its place by one rename, so each is always in exactly one."""

    def __init__(self, root: Path) -> None:
        self._live = root / "replicas"
        self._past = root / "past"
        self._trash = root / "trash"
        try:
            for folder in (root, self._live, self._past, self._trash):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"{root} cannot be used: {error.strerror}.", hint="Free or mend the disk.") from error

    def live(self, replica_id: str) -> ReplicaFolder:
        """Return the folder of a replica that was not forgotten; raises InvalidInput for what is no id."""
        return ReplicaFolder(self._live / check_replica_id(replica_id))

    def past(self, replica_id: str) -> ReplicaFolder:
        """Return the folder of a replica that was forgotten; raises InvalidInput for what is no id."""
        return ReplicaFolder(self._past / check_replica_id(replica_id))

    def live_ids(self) -> list[str]:
        return sorted(os.listdir(self._live))

    def retire(self, replica_id: str) -> None:
        """Keep the folder for its log only; raises StorageFailed."""
        _move(self.live(replica_id).path, self.past(replica_id).path)

    def discard(self, folder: ReplicaFolder) -> None:
        """Put the folder where `empty_trash` deletes it; raises StorageFailed."""
        _move(folder.path, self._trash / uuid.uuid4().hex)

    def empty_trash(self) -> None:
        """Delete what was discarded; may take long. Whatever resists is tried again at the next call."""
        for name in os.listdir(self._trash):
            shutil.rmtree(self._trash / name, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except FileNotFoundError:
        return  # It was moved before: asking twice is allowed.
    except OSError as error:
        raise StorageFailed(f"{source} cannot be moved: {error.strerror}.", hint="Free or mend the disk.") from error
