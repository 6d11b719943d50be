"""Make a node ready for a program: its files in a folder of its own, its requirements in a virtual environment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lepton_ai.errors import StorageFailed
from lepton_ai.node.bundle import BundleCache
from lepton_ai.node.environment import EnvironmentCache
from lepton_ai.types.task import Program

CALL_FILE = "call.pickle"  # beside the working directory, where the jobs service's command looks for it


def say_nothing(sentence: str) -> None:
    """Take a progress sentence and drop it."""


@dataclass(frozen=True, slots=True)
class Preparer:
    """Prepares replicas from the node's two caches and, for pickled calls, from the blobs that `open_blob` gives.

    Safe to call from several threads, and to repeat.
    """

    open_blob: Callable[[str], BinaryIO]
    bundles: BundleCache
    environments: EnvironmentCache

    def prepare(self, program: Program, folder: Path, on_progress: Callable[[str], None] = say_nothing) -> Path | None:
        """Fill `folder` with the program's bundle, lay its call beside it, and return the `bin` of its environment.

        Returns None where there are no requirements. May take minutes while requirements are installed; `on_progress`
        is told each step in a sentence. Raises the errors of `EnvironmentCache.ensure`, `BundleCache.copy_into` and
        `open_blob`.
        """
        root = self.environments.ensure(program.requirements, on_progress=on_progress) if program.requirements else None
        if program.bundle:
            self.bundles.copy_into(program.bundle, folder)
        if program.call:
            self._lay_call(program.call, folder.parent / CALL_FILE)
        return root / "bin" if root else None

    def _lay_call(self, digest: str, path: Path) -> None:
        with self.open_blob(digest) as source:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as target:
                    shutil.copyfileobj(source, target)
            except OSError as error:
                raise StorageFailed(
                    f"{path} cannot be written: {error.strerror or error}.", hint="Free some space on the node."
                ) from error
