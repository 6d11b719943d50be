"""Packing what the user may not read: a process that gives up root's rights first, where it has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os
from pathlib import Path
from lepton_ai.errors import InvalidInput
from lepton_ai.sdk.bundle import pack
os.seteuid(65534 if os.geteuid() == 0 else os.geteuid())
try:
    pack(Path("."), bytes_max=1_000_000)
except InvalidInput as error:
    print(error)
"""


@pytest.mark.parametrize(("name", "mode"), [("secret", 0o000), ("folder", 0o000)])
def test_a_program_never_loses_an_unreadable_file_in_silence(tmp_path: Path, name: str, mode: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_text("x")
    tmp_path.chmod(0o755)
    (tmp_path / name).chmod(mode)

    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    (tmp_path / name).chmod(0o700)

    assert run.stdout.startswith(f"{name} cannot be read: Permission denied.")
    assert ".leptonignore" in run.stdout
