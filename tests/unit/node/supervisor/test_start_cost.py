"""The supervisor loads almost nothing: each replica has one, and pays for every module of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lepton_ai.node import supervisor

NODE = Path(supervisor.__file__).parents[1]
LIST_MODULES = f"import sys; sys.path.append({str(NODE)!r}); import supervisor.supervise; print(*sys.modules)"


def test_the_supervisor_loads_few_and_small_modules() -> None:
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LIST_MODULES], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()

    assert "supervisor.watch" in found
    assert {"json", "signal", "enum", "typing", "re", "subprocess", "collections", "dataclasses"} & set(found) == set()
    assert len(found) < 50
