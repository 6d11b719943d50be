"""What a replica needs before it can start: the seam to bundles and virtual environments, and who does the work."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from lepton_ai.errors import Unavailable
from lepton_ai.types.task import Program

# One environment that takes minutes must not hold up a bundle that takes milliseconds; more would only share the disk.
WORKERS = 2
REQUIREMENTS_SHOWN = 5
_log = logging.getLogger(__name__)


Progress = Callable[[str], None]
# Fills the given empty folder, which later becomes the working directory under another name, tells each step in a
# sentence, and returns the `bin` folder of the virtual environment or None. Raises a LeptonError for the owner to read.
# `node.preparation.Preparer.prepare` is one.
Prepare = Callable[[Program, Path, Progress], Path | None]


def needs_preparation(program: Program) -> bool:
    """Tell whether there is anything to do before the program can start."""
    return needs_files(program) or program.checkpoint is not None


def needs_files(program: Program) -> bool:
    """Tell whether the program needs anything that `Prepare` provides."""
    return bool(program.bundle or program.call or program.requirements)


def describe_preparation(program: Program) -> str:
    """Say what is being done, for whoever waits for it."""
    if not needs_files(program):
        return "making the checkpoint folder"
    if not program.requirements:
        return "fetching the working directory"
    shown = ", ".join(program.requirements[:REQUIREMENTS_SHOWN])
    more = len(program.requirements) - REQUIREMENTS_SHOWN
    return f"building the environment: {shown}{f' and {more} more' if more > 0 else ''}"


def prepare_nothing(program: Program, folder: Path, on_progress: Progress) -> Path | None:
    """Refuse programs that need a bundle or requirements; the choice where nobody can provide them."""
    raise Unavailable("This runtime was built without bundles and virtual environments.", hint="Give it `prepare`.")


class Workers:
    """A few threads that end with the process, whatever they are doing: a start that was cut short is begun again.

    The queue needs no bound of its own: it holds at most the replicas that the scheduler placed on this machine.
    """

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._name = name
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], None]) -> None:
        """Have `work` done soon, by a thread of ours."""
        self._queue.put(work)
        if len(self._threads) < WORKERS:
            thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while True:
            work = self._queue.get()
            try:
                work()
            except Exception:  # one replica's trouble must not stop the others' work
                _log.exception("a worker's task failed")
