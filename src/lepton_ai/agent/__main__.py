"""The agent's program: `python -m lepton_ai.agent` keeps a worker of itself running, which keeps Ray and reports."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from lepton_ai.agent.work import Agent
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.errors import LeptonError
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.settings import default_home

WORK = "--work"
RESTART_SECONDS = 2.0
HELD = 4  # the exit code of an agent that found another one


def main() -> int:
    """Run the agent of the state folder until it is told to end or its node has been removed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    place = ClusterPlace(default_home())
    try:
        if WORK in sys.argv[1:]:
            Agent(place, SystemClock()).run()
            return 0
        with _held(place.agent_lock) as is_ours:
            return _keep_working() if is_ours else HELD
    except LeptonError as error:
        print(f"Error: {error.message}\nHint: {error.hint}", file=sys.stderr)
        return 1


def _keep_working() -> int:
    """Start a worker, and another one whenever it ends otherwise than by its own decision (exit code 0)."""
    worker: subprocess.Popen[bytes] | None = None

    def end(_number: int, _frame: FrameType | None) -> None:
        if worker is not None:
            worker.terminate()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        worker = subprocess.Popen([sys.executable, "-m", "lepton_ai.agent", WORK])
        if worker.wait() == 0:
            return 0
        logging.getLogger(__name__).error("agent_ended code=%s", worker.returncode)
        time.sleep(RESTART_SECONDS)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold the lock of the one agent of this folder, with its process id in it; gives False if another one has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(file)


if __name__ == "__main__":
    sys.exit(main())
