"""Where the replicas' folders are: one tree for what may still matter, one for logs of the past, one to delete from."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from lepton_ai.errors import StorageFailed
from lepton_ai.node.replica_folder import ID_PATTERN, ReplicaFolder, check_replica_id
from lepton_ai.node.supervisor import records

# What is asked for after the end. The claim is among it because a folder without one would not survive a restart that
# comes between thinning it out and moving it.
KEPT = frozenset({records.CLAIM, records.EXIT, records.LOG, records.RESULT})
_log = logging.getLogger(__name__)


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
        """Return the ids of the replicas that were not forgotten, among whatever a replica may have put beside them."""
        return sorted(name for name in os.listdir(self._live) if ID_PATTERN.fullmatch(name))

    def past_ids(self) -> frozenset[str]:
        return frozenset(name for name in os.listdir(self._past) if ID_PATTERN.fullmatch(name))

    def retire(self, replica_id: str) -> None:
        """Keep of the folder what may still be asked for, and discard the rest; raises StorageFailed."""
        live = self.live(replica_id).path
        self._thin_out(live)
        _move(live, self.past(replica_id).path)

    def keep_only(self, replica_ids: Collection[str], among: Collection[str]) -> None:
        """Discard the past replicas `among` these whose ids are not in `replica_ids`; raises StorageFailed."""
        for replica_id in set(among).difference(replica_ids):
            self.discard(self.past(replica_id))

    def discard(self, folder: ReplicaFolder) -> None:
        """Put the folder where `empty_trash` deletes it; raises StorageFailed."""
        _move(folder.path, self._trash / uuid.uuid4().hex)

    def empty_trash(self) -> None:
        """Delete what was discarded; may take long. Whatever resists is tried again at the next call."""
        for name in os.listdir(self._trash):
            path = self._trash / name
            try:
                path.unlink()
            except (IsADirectoryError, PermissionError):  # what unlink(2) says of a folder differs between systems
                shutil.rmtree(path, ignore_errors=True)
            except OSError as error:
                _log.debug("not deleted yet", extra={"path": str(path), "error": str(error)})

    def _thin_out(self, folder: Path) -> None:
        """Discard what nobody asks for after the end. What resists stays: the replica must be able to retire."""
        if folder.is_symlink() or not folder.is_dir():
            return
        for name in set(os.listdir(folder)) - KEPT:
            try:
                _move(folder / name, self._trash / uuid.uuid4().hex)
            except StorageFailed as error:
                _log.warning("left behind", extra={"path": str(folder / name), "error": error.message})


def _move(source: Path, target: Path) -> None:
    try:
        _rename(source, target)
    except FileNotFoundError:
        return  # It was moved before: asking twice is allowed.
    except OSError as error:
        raise StorageFailed(f"{source} cannot be moved: {error.strerror}.", hint="Free or mend the disk.") from error


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except PermissionError:  # A folder that changes its parent must be writable, and a replica can take that away.
        if source.is_symlink():
            raise
        source.chmod(0o700)
        source.rename(target)
