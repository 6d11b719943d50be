"""Runs replicas on this machine, each under its own supervisor, and finds them again after a restart."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from lepton_ai.backends.local_runtime.checkpoints import NodeCheckpoints
from lepton_ai.backends.local_runtime.folders import Folders
from lepton_ai.backends.local_runtime.preparation import (
    Prepare,
    Workers,
    describe_preparation,
    needs_files,
    needs_preparation,
    prepare_nothing,
)
from lepton_ai.backends.local_runtime.roster import Entry, Roster
from lepton_ai.backends.local_runtime.spawn import Setting, build_launch, facts_of, spawn
from lepton_ai.errors import LeptonError, NotFound
from lepton_ai.kernel.clock import Clock, SystemClock
from lepton_ai.kernel.runtime import LogChunk, NodeObservation, ReplicaOrder
from lepton_ai.node.interface import interface_of
from lepton_ai.node.limits import Ceiling, Limits, detect_limits
from lepton_ai.node.log_reader import read_log
from lepton_ai.node.replica_folder import Facts, ReplicaFolder
from lepton_ai.node.replica_use import ReplicaUse, measure_use
from lepton_ai.node.supervisor import records
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion
from lepton_ai.types.node import Hardware, NodeUse
from lepton_ai.types.task import ExitKind, Replica, ReplicaState

LOG_BYTES_MAX = 64 * 1024 * 1024
READ_BYTES_MAX = 4 * 1024 * 1024  # one answer to a reader of logs, whatever it asks for
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalNode:
    """The machine as the kernel shall see it. `limits` is found out where it is not given."""

    name: str
    hardware: Hardware
    sample_use: Callable[[], NodeUse]
    address: str = "127.0.0.1"
    limits: Limits | None = None
    leash: int = 0  # the process with which everything ends that is started here, if there is one


class LocalRuntime:
    """The `Runtime` of one machine; `folder` holds everything that it needs to remember.

    A new one takes over whatever an earlier one left running in the same folder; only one may use a folder at a time.
    """

    def __init__(
        self,
        folder: Path,
        node: LocalNode,
        *,
        prepare: Prepare = prepare_nothing,
        log_bytes_max: int = LOG_BYTES_MAX,
        clock: Clock | None = None,
    ) -> None:
        self._node = node
        self._prepare = prepare
        self._log_bytes_max = log_bytes_max
        self._clock = clock or SystemClock()
        self._wakes: list[Callable[[], None]] = []
        self._limits = node.limits or detect_limits(folder)
        self._folders = Folders(folder.absolute())
        self._past_at_start = self._folders.past_ids()
        self._interface = interface_of(node.address)
        self._workers = Workers("preparing")
        self._restoring = Workers("restoring")  # of their own: a checkpoint may take minutes, a bundle milliseconds
        self._roster = Roster(self._folders, self._clock, node.name, self._wake)
        self._checkpoints = NodeCheckpoints(self._roster, self._clock)
        self._adopt_all()
        self._workers.submit(self._folders.empty_trash)

    def start(self, order: ReplicaOrder) -> None:
        """Begin to start the replica; raises InvalidInput, StorageFailed or Unavailable, and then nothing was begun."""
        folder = self._folders.live(order.replica_id)
        with self._roster.lock:
            if self._roster.get(order.replica_id) or self._folders.past(order.replica_id).path.exists():
                return
            folder.make()
            if claim := folder.claim():
                self._roster.adopt(order.replica_id, claim)
                return
            entry = self._roster.add(order.replica_id, order.rank, "")
            if needs_preparation(order.program):
                entry.is_in_preparation = True
                entry.replica = entry.replica.replace(sentence=describe_preparation(order.program))
                workers = self._workers if order.resumes_from is None else self._restoring
                workers.submit(lambda: self._prepare_and_launch(order, entry))
                return
            try:
                self._launch(order, entry, "", None)
            except LeptonError:
                self._roster.drop(order.replica_id)
                raise

    def stop(self, replica_id: str, grace: timedelta) -> None:
        """Ask the supervisor to end the replica, or see to it that it never starts. Does not wait."""
        with self._roster.lock:
            entry = self._roster.get(replica_id)
            if entry is None or entry.has_ended:
                return
            if entry.is_in_preparation:
                self._roster.refuse(entry, ExitKind.STOPPED, "Stopped on request, before the command had started.")
                return
            try:
                records.write_stop(str(entry.folder.path), grace.total_seconds())
            except OSError as error:  # The supervisor then takes the grace that the replica began with.
                _log.warning("grace not recorded", extra={"replica": replica_id, "error": str(error)})
            self._roster.signal_stop(entry)

    def bar(self, replica_id: str, rank: int) -> bool:
        """See to it that a replica whose order may still be on its way never starts; False if there is one already.

        Raises InvalidInput for what is no id, StorageFailed.
        """
        folder = self._folders.live(replica_id)
        with self._roster.lock:
            if self.knows(replica_id):
                return False
            folder.make()
            entry = self._roster.add(replica_id, rank, "")
            self._roster.refuse(entry, ExitKind.STOPPED, "Stopped on request, before its order had arrived.")
            return True

    def knows(self, replica_id: str) -> bool:
        """Tell whether there is anything of the replica here, if only its log; raises InvalidInput for no id."""
        return self._roster.get(replica_id) is not None or self._folder_of(replica_id).path.exists()

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        """Drop an ended replica; its folder is kept for the log, or deleted in the background. Raises StorageFailed."""
        with self._roster.lock:
            entry = self._roster.get(replica_id)
            if entry and not entry.has_ended:
                return
            if entry:
                self._folders.retire(replica_id)
                self._roster.drop(replica_id)
            if delete_log:
                self._folders.discard(self._folders.past(replica_id))
            if entry or delete_log:
                self._workers.submit(self._folders.empty_trash)

    def keep_only(self, replica_ids: Collection[str]) -> None:
        """Drop whatever past replicas are not among these, of those that an earlier core left; raises StorageFailed.

        A replica that was forgotten since this one began is not concerned: `forget` itself says what becomes of it. So
        the ids may be gathered at leisure.
        """
        self._folders.keep_only(replica_ids, self._past_at_start)
        self._workers.submit(self._folders.empty_trash)

    def replicas(self) -> Mapping[str, Replica]:
        return self._roster.replicas()

    def nodes(self) -> Sequence[NodeObservation]:
        node = self._node
        return (NodeObservation(node.name, node.address, node.hardware, node.sample_use(), self._limits.sentence),)

    def free_port(self, node: str) -> int:
        """Return a port where a gang can meet; raises NotFound for another node, Unavailable if none is free."""
        if node != self._node.name:
            raise NotFound(f"There is no node {node!r} here.", hint=f"This machine is {self._node.name!r}.")
        with self._roster.lock:
            return self._roster.ports.lend()

    def use(self) -> Mapping[str, ReplicaUse]:
        """Measure what each running replica uses now."""
        now = self._clock.now()
        found = {}
        for entry in self._roster.all():
            replica = entry.replica
            if replica.state is ReplicaState.RUNNING and replica.started_at:
                wall_seconds = max(0.0, (now - replica.started_at).total_seconds())
                found[entry.replica_id] = measure_use(entry.pid, entry.facts.meters, wall_seconds)
        return found

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        """Return a piece of the log, at most 4 MiB; a replica that is not known yet has an empty one."""
        entry = self._roster.get(replica_id)
        folder = self._folder_of(replica_id)
        # Asked before reading: once it has ended nothing is added, so what is read now is all there will ever be.
        has_ended = entry.has_ended if entry else folder.ended() is not None
        piece = read_log(folder.path / records.LOG, offset, min(limit, READ_BYTES_MAX))
        next_offset = piece.offset + len(piece.text)
        return LogChunk(piece.text, piece.offset, next_offset, has_ended and next_offset >= piece.end)

    def read_result(self, replica_id: str) -> bytes | None:
        """Return what a function replica returned, a pickle; raises TooLarge."""
        return self._folder_of(replica_id).result()

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        return self._checkpoints.find(replica_id, policy)

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        return self._checkpoints.read(replica_id, path, offset, limit)

    def on_change(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def close(self) -> None:
        """Let go of everything without touching it: replicas run on, and the next runtime finds them."""
        self._roster.close()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()

    def _folder_of(self, replica_id: str) -> ReplicaFolder:
        live = self._folders.live(replica_id)
        return live if live.path.exists() else self._folders.past(replica_id)

    def _adopt_all(self) -> None:
        for replica_id in self._folders.live_ids():
            folder = self._folders.live(replica_id)
            if folder.path.is_symlink():
                self._folders.discard(folder)
                continue
            claim = folder.claim()
            if claim and (claim.pid or folder.ended()):
                self._roster.adopt(replica_id, claim)
            else:
                self._discard_unclaimed(replica_id, folder)

    def _discard_unclaimed(self, replica_id: str, folder: ReplicaFolder) -> None:
        """Drop what never came to run, so that the kernel starts it again from nothing.

        An earlier core's supervisor may be about to claim it: taking the claim first decides for one of the two.
        """
        claim = folder.claim()
        if claim is None and not folder.claim_for_core(Facts(rank=0)) and (claim := folder.claim()):
            self._roster.adopt(replica_id, claim)
            return
        self._folders.discard(folder)

    def _prepare_and_launch(self, order: ReplicaOrder, entry: Entry) -> None:
        prepared = f"prepared-{uuid.uuid4().hex}"
        try:
            if not entry.is_in_preparation:
                return
            (entry.folder.path / prepared).mkdir(mode=0o700)
            tell = partial(self._tell_progress, entry)
            bin_folder = None
            if needs_files(order.program):
                bin_folder = self._prepare(order.program, entry.folder.path / prepared, tell)
            self._checkpoints.lay_down(order, entry.folder.path / prepared, tell)
            self._launch(order, entry, prepared, bin_folder)
        except LeptonError as error:
            self._refuse_unprepared(entry, str(error))
        except OSError as error:
            self._refuse_unprepared(entry, f"The replica could not be prepared: {error.strerror} ({error.filename}).")
        except Exception as error:  # `prepare` is others' code: its mistake must not leave the replica waiting for ever
            _log.exception("preparation failed", extra={"replica": entry.replica_id})
            self._refuse_unprepared(entry, f"The replica could not be prepared: {type(error).__name__}.")

    def _tell_progress(self, entry: Entry, sentence: str) -> None:
        with self._roster.lock:
            if entry.is_in_preparation:
                entry.replica = entry.replica.replace(sentence=sentence)
        self._wake()

    def _refuse_unprepared(self, entry: Entry, sentence: str) -> None:
        with self._roster.lock:
            if entry.is_in_preparation:
                self._roster.refuse(entry, ExitKind.NOT_STARTED, sentence)

    def _launch(self, order: ReplicaOrder, entry: Entry, prepared: str, bin_folder: Path | None) -> None:
        with self._roster.lock:
            if prepared and not entry.is_in_preparation:
                return  # It was stopped while it was prepared.
            ceiling = Ceiling(order.allocation.memory_bytes, order.allocation.cpu_milli, order.processes)
            port = self._roster.ports.take() if order.program.needs_port else 0
            plan = self._limits.plan(order.replica_id, ceiling)
            setting = Setting(
                entry.folder.path, port, plan, prepared, bin_folder, self._log_bytes_max, self._node.leash,
                self._interface,
            )  # fmt: skip
            try:
                spawned = spawn(build_launch(order, setting), entry.folder.path)
            except LeptonError:
                self._roster.ports.give_back(port)
                raise
            entry.is_in_preparation = False
            self._roster.follow(entry, spawned, facts_of(order, setting))
