"""Takes hold of a process that another core started, and lets go of children that ended."""

from __future__ import annotations

import os
import select
from pathlib import Path

from lepton_ai.errors import Unavailable
from lepton_ai.node.replica_folder import Claim, ReplicaFolder
from lepton_ai.node.supervisor import records


def has_left_overs(root: Path) -> bool:
    """Tell whether replicas of the runtime at `root` run on, or were lost and await their end, since this boot."""
    try:
        names = os.listdir(root / "replicas")
    except OSError:
        return False
    return any(_is_left_over(ReplicaFolder(root / "replicas" / name)) for name in names)


def open_process(claim: Claim) -> int:
    """Return a pidfd of the supervisor that made `claim`, or -1 if it has ended; raises Unavailable.

    The start time is compared once the pidfd is open: from then on the number cannot pass on unnoticed.
    """
    if claim.boot_id != records.boot_id():
        return -1
    try:
        pidfd = os.pidfd_open(claim.pid)
    except ProcessLookupError:
        return -1
    except OSError as error:
        # Not knowing is not the same as dead: taking this one for lost would kill what runs.
        raise Unavailable(
            f"Process {claim.pid} cannot be watched: {error.strerror}.",
            hint="Linux 5.3 and free file descriptors are needed.",
        ) from error
    try:
        is_same = records.start_time(claim.pid) == claim.start_time
    except (OSError, IndexError):
        is_same = False
    if not is_same or _has_ended(pidfd):
        os.close(pidfd)
        return -1
    return pidfd


def reap(pidfd: int) -> None:
    """Collect the ended process behind `pidfd` if it is a child of this one, and close it."""
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return  # Another core's child: the system collects it.
    finally:
        os.close(pidfd)


def _is_left_over(folder: ReplicaFolder) -> bool:
    """Tell it by the records: a supervisor that was killed may have left processes, which only a core can end."""
    claim = folder.claim()
    return claim is not None and claim.pid != 0 and claim.boot_id == records.boot_id() and folder.ended() is None


def _has_ended(pidfd: int) -> bool:
    """Tell it at once, also of one that its new parent has not collected yet: in some containers nobody ever does."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
