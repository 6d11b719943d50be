"""What the core hands to a supervisor: everything needed to run one replica, in memory only.

It travels in an anonymous memory file that is complete before the supervisor exists. So a supervisor has all of it or
never starts, a core that dies cannot leave half an order, and secrets touch neither disk nor argument list.
"""

import marshal
import os

LAUNCH_FD = 0  # the memory file with the launch
STATUS_FD = 1  # a pipe on which the supervisor writes the start time once the command runs
CHUNK = 1 << 20


class Launch:
    """One replica's launch; the fields are plain values because `marshal` carries nothing else.

    `facts` is the core's part of the claim, a JSON object. `prepared` is a folder that becomes the working directory,
    or empty. A time-out of 0 means none. `groups` are control groups as (folder, ((file, value), ...), file to join
    by); `meters` maps "oom", "peak", "cpu", "kill" and "procs" to files. The watch limits are 0 where a control group
    holds the resource; `rlimits` are (resource, soft) pairs. `leash` is a process with which the replica ends, or 0.
    """

    replica_id: str
    facts: str
    command: list[str]
    env: dict[str, str]
    prepared: str
    timeout_seconds: float
    grace_seconds: float
    log_bytes_max: int
    memory_bytes: int
    groups: list[tuple[str, list[tuple[str, str]], str]]
    meters: dict[str, str]
    watched_memory_bytes: int
    watched_processes: int
    rlimits: list[tuple[int, int]]
    leash: int

    def __init__(self, fields: dict[str, object]) -> None:
        if differing := fields.keys() ^ Launch.__annotations__.keys():
            raise TypeError(f"fields of a launch that are missing or unknown: {sorted(differing)}")
        self.__dict__.update(fields)

    def pack(self) -> bytes:
        """Return the bytes that `unpack` reads. Both ends are the same interpreter, so `marshal` is safe and free."""
        return marshal.dumps(self.__dict__)


def unpack(packed: bytes) -> Launch:
    """Return the launch that `pack` wrote."""
    return Launch(marshal.loads(packed))  # noqa: S302 - written by the core that started this very process


def receive(fd: int) -> Launch:
    """Read the launch from the memory file `fd`."""
    parts = []
    offset = 0
    while part := os.pread(fd, CHUNK, offset):
        parts.append(part)
        offset += len(part)
    return unpack(b"".join(parts))
