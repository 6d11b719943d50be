"""The import contracts of .importlinter: the project keeps them, and each of them can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.tidy.source import ROOT

LINT_SECONDS_MAX = 120
LINT = Path(sys.executable).with_name("lint-imports")

# One seeded violation for each contract: the contract's name, the file, the import that must not be there.
SEEDED = [
    ("Each layer imports only what lies below it", "kernel/seeded.py", "import lepton_ai.api"),
    ("Services do not know one another", "services/jobs/seeded.py", "import lepton_ai.services.endpoints"),
    ("The SDK needs only types and errors", "sdk/seeded.py", "import lepton_ai.settings"),
    ("The kernel knows tasks, not jobs or endpoints", "kernel/seeded.py", "import lepton_ai.types.job"),
    ("Decisions are pure", "services/jobs/decide.py", "import time"),
    ("Decisions are pure", "kernel/scheduling/seeded.py", "import random"),
    ("Decisions are pure", "kernel/scheduling/seeded.py", "import lepton_ai.kernel.store"),
    ("Ray is imported by its own adapter alone", "app.py", "import ray"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project's source and contracts that a test may spoil."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_project_keeps_its_import_contracts() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "path", "line"), SEEDED)
def test_a_seeded_violation_breaks_its_contract(copy: Path, contract: str, path: str, line: str) -> None:
    add_line(copy / "src" / "lepton_ai" / path, line)
    result = lint_imports(copy)
    assert f"{contract} BROKEN" in result.stdout, result.stdout + result.stderr


def test_a_module_without_a_place_in_the_layers_breaks_the_contract(copy: Path) -> None:
    add_line(copy / "src" / "lepton_ai" / "stray.py", "import lepton_ai.errors")
    result = lint_imports(copy)
    assert result.returncode != 0
    assert "lepton_ai.stray" in result.stdout + result.stderr


def test_the_ray_adapter_may_import_ray(copy: Path) -> None:
    add_line(copy / "src" / "lepton_ai" / "backends" / "ray_runtime" / "launch.py", "import ray")
    (copy / "src" / "lepton_ai" / "backends" / "ray_runtime" / "__init__.py").touch()
    result = lint_imports(copy)
    assert "Ray is imported by its own adapter alone KEPT" in result.stdout, result.stdout + result.stderr


def add_line(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"\n{line}\n")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the sources in `folder`, not on the installed ones."""
    environment: Mapping[str, str] = {"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, LINT, "--no-cache", "--no-logo"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LINT_SECONDS_MAX,
        check=False,
    )
