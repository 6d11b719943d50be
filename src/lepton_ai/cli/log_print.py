"""Prints a log as it comes: as it was written for one replica, each line marked with its rank for several."""

from __future__ import annotations

import dataclasses
import sys
from typing import IO, TYPE_CHECKING

from lepton_ai.cli.output import notice, print_json_line

if TYPE_CHECKING:
    from lepton_ai.sdk.logs import LogLine, LogStream


@dataclasses.dataclass(frozen=True, slots=True)
class LogForm:
    """What tells the writers of a log apart: the rank in a gang, the index in an array, or nothing."""

    has_ranks: bool = False
    has_indexes: bool = False
    has_attempts: bool = False  # an endpoint counts its replicas by this, over its whole life
    is_json: bool = False

    def mark(self, line: LogLine) -> str:
        said = ((self.has_attempts, line.attempt), (self.has_indexes, line.index), (self.has_ranks, line.rank))
        return f"[{'.'.join(str(number) for is_said, number in said if is_said)}] "

    @property
    def is_marked(self) -> bool:
        return self.has_ranks or self.has_indexes or self.has_attempts


def print_log(stream: LogStream, form: LogForm, out: IO[str] | None = None) -> None:
    """Print until the stream ends. Colours and progress bars of a single replica come through unchanged."""
    target = out or sys.stdout
    if form.is_json:
        for line in stream:
            print_json_line(dataclasses.asdict(line))
    elif form.is_marked:
        for line in stream:
            _tell_of_gap(line)
            target.write(f"{form.mark(line)}{line.text}\n")
            target.flush()
    else:
        _print_pieces(stream, target)


def _print_pieces(stream: LogStream, target: IO[str]) -> None:
    attempt, last = 1, "\n"
    for piece in stream.pieces():
        _tell_of_gap(piece)
        if piece.attempt != attempt:
            if not last.endswith("\n"):
                target.write("\n")
            notice(f"Attempt {piece.attempt}:")
            attempt = piece.attempt
        target.write(piece.text)
        target.flush()
        last = piece.text or last


def _tell_of_gap(line: LogLine) -> None:
    if line.truncated_bytes:
        notice(f"[{line.truncated_bytes:,} bytes of the log before this are gone: only the newest are kept]")
