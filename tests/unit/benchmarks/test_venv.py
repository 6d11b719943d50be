"""A folder is weighed as `du` weighs it."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.venv import disk_bytes


def test_a_file_of_two_names_is_weighed_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(os.urandom(100_000))
    alone = disk_bytes(tmp_path)
    (tmp_path / "two").hardlink_to(tmp_path / "one")

    assert alone >= 100_000
    assert disk_bytes(tmp_path) == alone
