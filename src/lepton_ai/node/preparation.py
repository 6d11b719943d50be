"""Make a node ready for a program: its files in a folder of its own, its requirements in a virtual environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.node.bundle import BundleCache
from lepton_ai.node.environment import EnvironmentCache
from lepton_ai.types.task import Program


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is ready. `environment_root` is the virtual environment, None if the program has no requirements."""

    work_folder: Path
    environment_root: Path | None = None

    @property
    def bin_folder(self) -> Path | None:
        """The folder to put in front of PATH."""
        return self.environment_root / "bin" if self.environment_root else None

    def environment(self, path: str) -> dict[str, str]:
        """Return the variables that select the virtual environment, given the PATH that would hold without it."""
        if self.environment_root is None:
            return {}
        return {"VIRTUAL_ENV": str(self.environment_root), "PATH": f"{self.bin_folder}:{path}".rstrip(":")}


@dataclass(frozen=True, slots=True)
class Preparer:
    """Prepares replicas from the node's two caches. Safe to call from several threads, and to repeat."""

    bundles: BundleCache
    environments: EnvironmentCache

    def prepare(self, program: Program, work_folder: Path, on_progress: Callable[[str], None]) -> Preparation:
        """Fill `work_folder` with the program's bundle and return what it needs beside it.

        May take minutes while requirements are installed; `on_progress` is told each step in a sentence. Raises the
        errors of `BundleCache.copy_into` and `EnvironmentCache.ensure`.
        """
        root = self.environments.ensure(program.requirements, on_progress=on_progress) if program.requirements else None
        if program.bundle:
            self.bundles.copy_into(program.bundle, work_folder)
        return Preparation(work_folder, root)
