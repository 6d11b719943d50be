"""What a simulated program does: written as the words of its command, so that it travels the way a real one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta

from lepton_ai.types.task import ExitKind, ReplicaExit

PROGRAM = "simulated"
OUT_OF_MEMORY_SIGNAL = 9


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`seconds` is how long it runs, 0 for ever. It fails in its first `bad_attempts` attempts, on `bad_rank` only."""

    seconds: int = 1
    exit_code: int = 0
    bad_attempts: int = 0
    bad_rank: int = -1  # -1: on every rank
    runs_out_of_memory: int = 0
    is_stubborn: int = 0  # ignores SIGTERM, so that only the end of the grace ends it
    cannot_start: int = 0
    warm_up: int = 0  # seconds until it answers requests

    def command(self) -> tuple[str, ...]:
        """Return the command that behaves so."""
        return (PROGRAM, *(f"{field.name}={getattr(self, field.name)}" for field in fields(self)))

    def end(self, rank: int, attempt: int) -> ReplicaExit:
        """Return how a replica ends that nobody disturbs."""
        is_bad = self._is_bad(attempt) and self.bad_rank in {-1, rank}
        if self.cannot_start:
            return ReplicaExit(kind=ExitKind.NOT_STARTED, sentence="Its environment could not be built.")
        if is_bad and self.runs_out_of_memory:
            return ReplicaExit(kind=ExitKind.OUT_OF_MEMORY, signal=OUT_OF_MEMORY_SIGNAL)
        if is_bad and self.exit_code:
            return ReplicaExit(kind=ExitKind.FAILED, exit_code=self.exit_code)
        return ReplicaExit(kind=ExitKind.SUCCEEDED, exit_code=0, cpu_seconds=float(self.seconds))

    def duration(self, rank: int, attempt: int) -> timedelta | None:
        """Return how long it runs; None for ever, as ranks do that wait for one which has failed."""
        waits_in_vain = self._is_bad(attempt) and self.bad_rank not in {-1, rank}
        return None if waits_in_vain or not self.seconds else timedelta(seconds=self.seconds)

    def _is_bad(self, attempt: int) -> bool:
        fails = bool(self.exit_code or self.runs_out_of_memory)
        return fails and (attempt <= self.bad_attempts or not self.bad_attempts)


def behaviour_of(command: Sequence[str]) -> Behaviour:
    """Read a command back; anything that is not a simulated program succeeds after a second."""
    if not command or command[0] != PROGRAM:
        return Behaviour()
    words: Mapping[str, str] = dict(word.split("=", 1) for word in command[1:])
    return Behaviour(**{name: int(value) for name, value in words.items()})
