"""The state folder: closed to others, and under one name for as long as it exists."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lepton_ai.backends.home import Home
from lepton_ai.errors import StorageFailed


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777, 0o701])
def test_a_folder_of_ours_that_is_open_to_others_is_closed(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(mode)

    Home(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_an_open_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o755)
    os.chown(folder, 65534, 65534)

    with pytest.raises(StorageFailed, match="not ours alone"):
        Home(folder)


def test_the_node_keeps_the_name_that_it_had_first(tmp_path: Path) -> None:
    first = Home(tmp_path).node_name()
    (kept,) = [path for path in tmp_path.iterdir() if path.read_text() == first]
    kept.write_text("another-network")

    assert Home(tmp_path).node_name() == "another-network"


@pytest.mark.parametrize("damaged", ["", "\0\0", "Not A Name", "-", "x" * 64])
def test_a_damaged_name_is_made_anew(tmp_path: Path, damaged: str) -> None:
    first = Home(tmp_path).node_name()
    (tmp_path / "node").write_text(damaged)

    assert Home(tmp_path).node_name() == first
    assert (tmp_path / "node").read_text() == first
