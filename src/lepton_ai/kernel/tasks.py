"""Pure: how a task moves, given what the runtime sees of its replicas."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from lepton_ai.kernel.change import Change, Note, update
from lepton_ai.kernel.checkpoints import news as checkpoints
from lepton_ai.kernel.checkpoints.news import NO_NEWS, News
from lepton_ai.types.base import Reason
from lepton_ai.types.task import MOVES, ExitKind, Replica, ReplicaExit, ReplicaState, Task, TaskState

_LOST = ReplicaExit(kind=ExitKind.LOST, sentence="Its node or its supervisor is gone.")

# Ends that we decided on: however its replicas end then, unless they all succeeded meanwhile, it is our doing.
_CALLED_OFF = frozenset({ExitKind.PREEMPTED, ExitKind.COST_LIMIT})

# What decides the outcome of a gang when its replicas end in different ways: the first of these that occurs.
_GRAVITY = (
    ExitKind.OUT_OF_MEMORY,
    ExitKind.TIMED_OUT,
    ExitKind.NOT_STARTED,
    ExitKind.FAILED,
    ExitKind.SIGNALED,
    ExitKind.LOST,
    ExitKind.STOPPED,
    ExitKind.SUCCEEDED,
)


def move(task: Task, state: TaskState, note: Note, **status: object) -> Change:
    """Return the change that moves `task`, with the event that tells of it. An illegal move is our own mistake."""
    before = task.status.state
    assert state in MOVES[before], f"{task.id}: {before} -> {state} is not a legal move"
    reason = Reason(code=note.code, sentence=note.sentence)
    return update(task.with_status(**{"state": state, "reason": reason, **status}), note)


def observe(
    task: Task, seen: Mapping[str, Replica], nodes: Collection[str], now: datetime, news: News = NO_NEWS
) -> Change | None:
    """Return the change that brings an active task's status up to what is seen, or None if nothing changed.

    A replica that is not seen was either never started (while STARTING, on a node that lives: it will be started again
    under the same id, which the runtime does once at most) or lost.
    """
    replicas = tuple(_replica(task, rank, seen, nodes, now) for rank in range(len(task.status.allocations)))
    known = tuple(replica for replica in replicas if replica is not None)
    exits = [replica for replica in known if replica.exit is not None]
    may_start = task.status.state is TaskState.STARTING and not task.spec.stop_requested
    if (told := checkpoints.saved(task, news)) is not None:
        return told
    if len(exits) == len(known) and (len(known) == len(replicas) or not may_start):
        is_free = checkpoints.may_end(task, known, news, now)
        return _finish(task, known, now) if is_free else checkpoints.wait(task, known, news, now)
    bad = [replica for replica in exits if _broke(replica)]
    if task.status.state is not TaskState.STOPPING and task.spec.stop_requested:
        note = Note("stopping", task.spec.stop_reason or "Stopping on request.")
        return move(task, TaskState.STOPPING, note, replicas=known)
    if task.status.state is not TaskState.STOPPING and (cause := decisive(bad)) and cause.exit:
        note = Note(
            "gang_broken", f"{_ending(task, cause)} The others are stopped, because a gang needs all its ranks."
        )
        return move(task, TaskState.STOPPING, note, replicas=known, outcome=cause.exit.kind)
    if task.status.state is TaskState.STARTING and _all_ran(replicas):
        note = Note("started", f"Runs on {_where(known)}.")
        return move(task, TaskState.RUNNING, note, replicas=known, started_at=_first_start(known, now))
    if known != task.status.replicas:
        return update(task.with_status(replicas=known, reason=_progress(task, known)))
    return checkpoints.not_saved(task, news)


def refuse(task: Task, rank: int, note: Note, now: datetime) -> Change:
    """Return the change that records that one rank cannot start; `observe` does the rest, as with any other end."""
    replica = Replica(
        rank=rank,
        node=task.status.allocations[rank].node,
        state=ReplicaState.EXITED,
        finished_at=now,
        exit=ReplicaExit(kind=ExitKind.NOT_STARTED, sentence=note.sentence),
    )
    others = [other for other in task.status.replicas if other.rank != rank]
    replicas = tuple(sorted((*others, replica), key=lambda one: one.rank))
    return update(task.with_status(replicas=replicas), note)


def preempt(task: Task, sentence: str) -> Change:
    """Return the change that has a task stopped, with its grace, so that another can start."""
    return move(task, TaskState.STOPPING, Note("preempted", sentence), outcome=ExitKind.PREEMPTED)


def drain(task: Task, node: str) -> Change:
    """Return the change that has a task stopped, with its grace, because its node is wanted empty."""
    sentence = f"Node {node} is being drained: it is stopped there, with notice, and goes on elsewhere."
    return move(task, TaskState.STOPPING, Note("drained", sentence), outcome=ExitKind.PREEMPTED)


def exceed(task: Task, sentence: str) -> Change:
    """Return the change that has a task stopped, with its grace, because it has used up what it may cost."""
    return move(task, TaskState.STOPPING, Note("cost_limit", sentence), outcome=ExitKind.COST_LIMIT)


def cancel(task: Task, now: datetime) -> Change:
    """Return the change that ends a task which holds nothing yet."""
    note = Note("stopped", task.spec.stop_reason or "Stopped before it started.")
    return move(task, TaskState.FINISHED, note, outcome=ExitKind.STOPPED, finished_at=now)


def decisive(replicas: Collection[Replica]) -> Replica | None:
    """Return the replica whose end explains the end of the gang; the earliest among equals."""
    ended = [replica for replica in replicas if replica.exit is not None]
    return min(ended, key=_blame) if ended else None


def _broke(replica: Replica) -> bool:
    return replica.exit is not None and replica.exit.kind is not ExitKind.SUCCEEDED


def _blame(replica: Replica) -> tuple[int, float, int]:
    assert replica.exit is not None
    at = replica.finished_at.timestamp() if replica.finished_at else 0.0
    return _GRAVITY.index(replica.exit.kind), at, replica.rank


def _replica(
    task: Task, rank: int, seen: Mapping[str, Replica], nodes: Collection[str], now: datetime
) -> Replica | None:
    found = seen.get(task.replica_id(rank))
    before = next((replica for replica in task.status.replicas if replica.rank == rank), None)
    node = task.status.allocations[rank].node
    if before is not None and before.exit is not None:
        return before  # an end once recorded stays, whatever a node says that comes back
    if found is not None and node in nodes:
        return found
    started = before is not None and before.state is ReplicaState.RUNNING
    if started or node not in nodes:
        base = before or Replica(rank=rank, node=node)
        return base.replace(state=ReplicaState.EXITED, exit=_LOST, finished_at=now)
    return None


def _finish(task: Task, replicas: tuple[Replica, ...], now: datetime) -> Change:
    ends = {one.exit.kind for one in replicas if one.exit}
    called_off = task.status.outcome if task.status.outcome in _CALLED_OFF else None
    if called_off is not None and ends != {ExitKind.SUCCEEDED} and not task.spec.stop_requested:
        note = Note(called_off.value, task.status.reason.sentence)
        return move(task, TaskState.FINISHED, note, replicas=replicas, finished_at=_last_end(replicas, now))
    # What a rank says while the gang is being stopped (an exit code, a signal) is our doing; what broke it came first.
    cause = None if called_off is not None else task.status.outcome
    last = decisive([one for one in replicas if cause in {None, one.exit.kind if one.exit else None}])
    if last is None or last.exit is None:
        return move(
            task, TaskState.FINISHED, Note("stopped", "Stopped before it started."), outcome=ExitKind.STOPPED,
            finished_at=now, replicas=(),
        )  # fmt: skip
    outcome = last.exit.kind
    if task.spec.stop_requested and cause is None and outcome in {ExitKind.FAILED, ExitKind.SIGNALED, ExitKind.LOST}:
        outcome = ExitKind.STOPPED
    return move(
        task,
        TaskState.FINISHED,
        Note(outcome.value, _ending(task, last)),
        replicas=replicas,
        outcome=outcome,
        started_at=task.status.started_at or _first_start(replicas, None),
        finished_at=_last_end(replicas, now),
    )


def _ending(task: Task, replica: Replica) -> str:
    assert replica.exit is not None
    who = f"Rank {replica.rank} " if task.spec.size > 1 else ""
    sentences = {
        ExitKind.SUCCEEDED: "Ended with exit code 0.",
        ExitKind.FAILED: f"{who or 'It '}ended with exit code {replica.exit.exit_code}.",
        ExitKind.STOPPED: task.spec.stop_reason or "Stopped on request.",
    }
    return replica.exit.sentence or sentences.get(replica.exit.kind, f"{who}{replica.exit.kind.value}.")


def _all_ran(replicas: tuple[Replica | None, ...]) -> bool:
    return all(replica is not None and replica.started_at is not None for replica in replicas)


def _first_start(replicas: tuple[Replica, ...], otherwise: datetime | None) -> datetime | None:
    return min((replica.started_at for replica in replicas if replica.started_at), default=otherwise)


def _last_end(replicas: tuple[Replica, ...], otherwise: datetime) -> datetime:
    return max((replica.finished_at for replica in replicas if replica.finished_at), default=otherwise)


def _progress(task: Task, replicas: tuple[Replica, ...]) -> Reason:
    sentence = next((replica.sentence for replica in replicas if replica.sentence), "")
    if task.status.state is TaskState.STARTING and sentence:
        return Reason(code="preparing", sentence=sentence)
    return task.status.reason


def _where(replicas: tuple[Replica, ...]) -> str:
    return ", ".join(sorted({replica.node for replica in replicas}))
