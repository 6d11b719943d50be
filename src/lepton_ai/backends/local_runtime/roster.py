"""Every replica that this runtime knows, kept true to what the folders and processes say."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lepton_ai.backends.local_runtime.folders import Folders
from lepton_ai.backends.local_runtime.liveness import open_process, reap
from lepton_ai.backends.local_runtime.ports import Ports
from lepton_ai.backends.local_runtime.spawn import Spawned
from lepton_ai.backends.local_runtime.watcher import Watcher
from lepton_ai.errors import Unavailable
from lepton_ai.kernel.clock import Clock
from lepton_ai.node.leftovers import end_leftovers
from lepton_ai.node.replica_folder import Claim, Ended, Facts, ReplicaFolder
from lepton_ai.node.supervisor import records
from lepton_ai.types.task import ExitKind, Replica, ReplicaExit, ReplicaState

LOOK_SECONDS = (
    0.02  # between claim and start lie milliseconds, and an adopted supervisor cannot tell when they are over
)
LOOK_SECONDS_MAX = 1.0
NO_START = "The supervisor ended before it could start the command; is the disk full, or was it killed?"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """One replica. Without a `pidfd` no supervisor is watched: it is being prepared, being cleaned up, or has ended."""

    replica_id: str
    folder: ReplicaFolder
    replica: Replica
    facts: Facts
    pid: int = 0
    pidfd: int = -1
    is_in_preparation: bool = False

    @property
    def has_ended(self) -> bool:
        return self.replica.state is ReplicaState.EXITED


class Roster:
    """The entries by replica id. `lock` guards them; every method takes it, and callers may hold it across several."""

    def __init__(self, folders: Folders, clock: Clock, node: str, changed: Callable[[], None]) -> None:
        self.lock = threading.RLock()
        self.ports = Ports()
        self._entries: dict[str, Entry] = {}
        self._folders = folders
        self._clock = clock
        self._node = node
        self._changed = changed
        self._watcher = Watcher(changed)

    def get(self, replica_id: str) -> Entry | None:
        with self.lock:
            return self._entries.get(replica_id)

    def all(self) -> list[Entry]:
        with self.lock:
            return list(self._entries.values())

    def replicas(self) -> Mapping[str, Replica]:
        with self.lock:
            return {replica_id: entry.replica for replica_id, entry in self._entries.items()}

    def add(self, replica_id: str, rank: int, sentence: str) -> Entry:
        """Begin to know a replica that has no supervisor yet."""
        entry = Entry(replica_id, self._folders.live(replica_id), self._shown(rank, sentence), Facts(rank))
        with self.lock:
            self._entries[replica_id] = entry
        return entry

    def drop(self, replica_id: str) -> None:
        with self.lock:
            self._entries.pop(replica_id, None)

    def adopt(self, replica_id: str, claim: Claim) -> None:
        """Begin to know a replica that an earlier core started."""
        with self.lock:
            entry = self.add(replica_id, claim.facts.rank, "")
            self._know(entry, claim)
            self.look(entry)

    def follow(self, entry: Entry, spawned: Spawned, facts: Facts) -> None:
        """Watch the supervisor that was just started for `entry`."""
        with self.lock:
            entry.pid, entry.pidfd, entry.facts = spawned.pid, spawned.pidfd, facts
            entry.replica = entry.replica.replace(limits=facts.limits, port=facts.port, sentence="")
            self._watcher.once(spawned.status_fd, lambda: self._hear(entry, spawned.status_fd))
            self._watcher.once(spawned.pidfd, lambda: self._end_of_supervisor(entry))

    def refuse(self, entry: Entry, kind: ExitKind, sentence: str) -> None:
        """End a replica that was never started, so that it never will be; one that did start meanwhile is adopted."""
        ended = Ended(ReplicaExit(kind=kind, sentence=sentence), 0.0, self._clock.now().timestamp())
        with self.lock:
            try:
                is_ours = entry.folder.claim_for_core(entry.facts)
                if not is_ours and (claim := entry.folder.claim()) and claim.pid:
                    self.look(entry)
                    return
                entry.folder.write_ended(ended)
            except OSError as error:
                _log.warning("exit not recorded", extra={"replica": entry.replica_id, "error": str(error)})
            self._settle(entry, ended)
        self._changed()

    def look(self, entry: Entry) -> None:
        """Find out from the folder what has become of a replica whose supervisor this core does not watch."""
        with self.lock:
            claim = entry.folder.claim()
            if ended := entry.folder.ended():
                self._settle(entry, ended)
            elif claim is None or claim.pid == 0:
                self.refuse(entry, ExitKind.NOT_STARTED, NO_START)
            else:
                self._take_hold(entry, claim)

    def close(self) -> None:
        """Stop watching; replicas and their supervisors go on."""
        self._watcher.close()
        with self.lock:
            for entry in self._entries.values():
                if entry.pidfd >= 0:
                    os.close(entry.pidfd)
                    entry.pidfd = -1

    def signal_stop(self, entry: Entry) -> None:
        """Tell the supervisor to look at its stop record. The pidfd cannot mean another process."""
        with self.lock:
            if entry.pidfd < 0:
                return
            try:
                signal.pidfd_send_signal(entry.pidfd, signal.SIGTERM)
            except ProcessLookupError:
                return

    def _take_hold(self, entry: Entry, claim: Claim) -> None:
        try:
            pidfd = open_process(claim)
        except Unavailable as error:
            _log.warning("supervisor not watched", extra={"replica": entry.replica_id, "error": str(error)})
            self._watcher.after(LOOK_SECONDS_MAX, lambda: self.look(entry))
            return
        self._know(entry, claim)
        if pidfd >= 0:
            entry.pid, entry.pidfd = claim.pid, pidfd
            self._watcher.once(pidfd, lambda: self._end_of_supervisor(entry))
            self._look_for_start(entry, LOOK_SECONDS)
        elif ended := entry.folder.ended():  # written between the first look and the supervisor's end
            self._settle(entry, ended)
        else:
            self._note_start(entry, entry.folder.running_since())
            threading.Thread(target=self._lose, args=(entry, claim), name="leftovers", daemon=True).start()

    def _know(self, entry: Entry, claim: Claim) -> None:
        entry.facts = claim.facts
        self.ports.hold(claim.facts.port)
        entry.replica = entry.replica.replace(limits=claim.facts.limits, port=claim.facts.port)

    def _lose(self, entry: Entry, claim: Claim) -> None:
        """End what is left of a replica whose supervisor is gone, and only then report it."""
        sentence = "Its supervisor was killed or the machine restarted; nobody knows how the command ended."
        if claim.boot_id == records.boot_id() and not end_leftovers(entry.folder.path, claim.facts.groups):
            sentence += " A process of it could not be ended."
        exited = ReplicaExit(kind=ExitKind.LOST, sentence=sentence)
        ended = Ended(exited, entry.folder.running_since(), self._clock.now().timestamp())
        try:
            entry.folder.write_ended(ended)
        except OSError as error:
            _log.warning("exit not recorded", extra={"replica": entry.replica_id, "error": str(error)})
        with self.lock:
            self._settle(entry, ended)
        self._changed()

    def _hear(self, entry: Entry, status_fd: int) -> None:
        told = os.read(status_fd, 64)
        os.close(status_fd)
        with self.lock:
            self._note_start(entry, float(told or 0))

    def _look_for_start(self, entry: Entry, seconds: float) -> None:
        with self.lock:
            if entry.has_ended or entry.pidfd < 0:
                return
            self._note_start(entry, entry.folder.running_since())
            if entry.replica.state is ReplicaState.PREPARING:
                later = min(2 * seconds, LOOK_SECONDS_MAX)
                self._watcher.after(seconds, lambda: self._look_for_start(entry, later))

    def _note_start(self, entry: Entry, started_at: float) -> None:
        if started_at and not entry.has_ended:
            running = {"state": ReplicaState.RUNNING, "sentence": "", "started_at": _moment(started_at)}
            entry.replica = entry.replica.replace(**running)

    def _end_of_supervisor(self, entry: Entry) -> None:
        with self.lock:
            pidfd, entry.pidfd = entry.pidfd, -1
            reap(pidfd)
            self.look(entry)

    def _settle(self, entry: Entry, ended: Ended) -> None:
        self.ports.give_back(entry.facts.port)
        entry.is_in_preparation = False
        entry.replica = entry.replica.replace(
            state=ReplicaState.EXITED,
            sentence=ended.exit.sentence,
            started_at=_moment(ended.started_at) if ended.started_at else None,
            finished_at=_moment(ended.finished_at),
            exit=ended.exit,
        )

    def _shown(self, rank: int, sentence: str) -> Replica:
        return Replica(rank=rank, node=self._node, sentence=sentence)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
