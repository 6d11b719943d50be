"""One replica's folder as the core reads it: who runs it, since when, how it ended."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import ValidationError

from lepton_ai.errors import InvalidInput, StorageFailed, TooLarge
from lepton_ai.node.supervisor import records
from lepton_ai.node.supervisor.plain_file import open_folder, open_plain, read_plain
from lepton_ai.types.task import ReplicaExit

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # a single path component that is neither "." nor ".."
RECORD_BYTES_MAX = 64 * 1024  # the replica itself can write here; ours are below 8 kB
RESULT_BYTES_MAX = 64 * 1024 * 1024  # a returned value; data belongs into buckets
PID_MAX = 2**22  # what the kernel itself allows
PORT_MAX = 65535
SECONDS_MAX = 253402300799.0  # the end of the year 9999, and of the calendar


def check_replica_id(replica_id: str) -> str:
    """Return `replica_id` if it may name a folder; raises InvalidInput otherwise."""
    if not ID_PATTERN.fullmatch(replica_id):
        raise InvalidInput(
            f"{replica_id[:80]!r} is not a replica id.",
            hint="Use 1 to 128 letters, digits, '.', '_' and '-', the first one a letter or a digit.",
        )
    return replica_id


@dataclass(frozen=True, slots=True)
class Facts:
    """What the core knows of a replica before it starts, and needs to know again after a restart."""

    rank: int
    port: int = 0
    limits: str = ""
    groups: tuple[str, ...] = ()
    meters: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Claim:
    """Who took the replica. A pid of 0 is the core itself, which never runs it."""

    pid: int
    start_time: int
    boot_id: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Ended:
    """How a replica ended, and when, in seconds since 1970; a start of 0 means that the command never ran."""

    exit: ReplicaExit
    started_at: float
    finished_at: float


@dataclass(frozen=True, slots=True)
class ReplicaFolder:
    """The folder at `path`; whatever is missing or damaged in it reads as None.

    The replica can write here, and what it puts in a record's or the folder's own place must not lead or hold the core:
    only plain files count, in a folder that is no link.
    """

    path: Path

    def make(self) -> None:
        """Make the folder, for the owner's eyes only; raises StorageFailed."""
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            self._refuse_link()
        except OSError as error:
            raise StorageFailed(
                f"{self.path} cannot be made: {error.strerror}.", hint="Free or mend the disk."
            ) from error

    def claim(self) -> Claim | None:
        values = self._record(records.CLAIM)
        try:
            facts = Facts(
                rank=int(str(values["rank"])),
                port=_number(values["port"], PORT_MAX),
                limits=str(values["limits"]),
                groups=tuple(str(group) for group in _list(values["groups"])),
                meters={str(name): str(path) for name, path in _dict(values["meters"]).items()},
            )
            pid = _number(values["pid"], PID_MAX)
            return Claim(pid, int(str(values["start_time"])), str(values["boot_id"]), facts)
        except (KeyError, ValueError):
            return None

    def claim_for_core(self, facts: Facts) -> bool:
        """Take the replica so that no supervisor can ever run it; False if one already did. Raises OSError."""
        self._refuse_link()
        text = f'{{"pid": 0, "start_time": 0, "boot_id": "{records.boot_id()}", {facts.to_json()[1:]}'
        return records.claim(str(self.path), text)

    def running_since(self) -> float:
        """Return when the command started, or 0.0 if it did not yet."""
        try:
            return _seconds(self._record(records.RUNNING)["started_at"])
        except (KeyError, ValueError):
            return 0.0

    def ended(self) -> Ended | None:
        values = self._record(records.EXIT)
        try:
            started_at, finished_at = _seconds(values.pop("started_at")), _seconds(values.pop("finished_at"))
            return Ended(ReplicaExit.model_validate(values), started_at, finished_at)
        except (KeyError, ValueError, ValidationError):
            return None

    def write_ended(self, ended: Ended) -> None:
        """Record an end that no supervisor recorded; raises OSError."""
        self._refuse_link()
        values = {
            **ended.exit.model_dump(mode="json"),
            "started_at": ended.started_at,
            "finished_at": ended.finished_at,
        }
        records.write_exit(str(self.path), records.reserve_exit(str(self.path)), json.dumps(values))

    def result(self) -> bytes | None:
        """Return what a function replica returned; raises TooLarge."""
        try:
            with self._opened() as folder, os.fdopen(open_plain(records.RESULT, folder), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                result = file.read(RESULT_BYTES_MAX + 1)
        except OSError:
            return None
        if len(result) > RESULT_BYTES_MAX:
            raise TooLarge(
                f"The function's result has {size} bytes; {RESULT_BYTES_MAX} may be returned.",
                hint="Write it to a bucket and return its name.",
            )
        return result

    def _record(self, name: str) -> dict[str, object]:
        try:
            with self._opened() as folder:
                values = json.loads(read_plain(name, RECORD_BYTES_MAX, folder))
        except (OSError, ValueError, RecursionError):
            return {}
        return values if isinstance(values, dict) else {}

    @contextmanager
    def _opened(self) -> Iterator[int]:
        fd = open_folder(str(self.path))
        try:
            yield fd
        finally:
            os.close(fd)

    def _refuse_link(self) -> None:
        with self._opened():
            return


def _number(value: object, highest: int) -> int:
    number = int(str(value))
    if not 0 <= number <= highest:
        raise ValueError(f"{number} is not between 0 and {highest}")
    return number


def _seconds(value: object) -> float:
    seconds = float(str(value))
    if not 0 <= seconds <= SECONDS_MAX:
        raise ValueError(f"{seconds} is not a moment")
    return seconds


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list")
    return value


def _dict(value: object) -> dict[object, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not an object")
    return value
