"""Where the files and sockets of the data plane are put."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton_ai.backends.haproxy.place import SOCKET_FOLDER_MAX, replace_file, socket_folder
from lepton_ai.errors import StorageFailed


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A short folder, as /run/user/1000 is; pytest's own are too deep for a socket."""
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:
        yield Path(folder)


def test_sockets_are_in_the_state_folder_where_the_path_is_short(tmp_path: Path) -> None:
    assert socket_folder(tmp_path, {}) == tmp_path / "run"
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["x" * 100, "a folder with spaces", "dollar$HOME", "comma,comma", "für-uns"])
def test_a_state_folder_that_no_socket_can_be_in_gets_a_private_one_elsewhere(
    tmp_path: Path, runtime: Path, name: str
) -> None:
    elsewhere = socket_folder(tmp_path / name, {"XDG_RUNTIME_DIR": str(runtime)})
    assert elsewhere.parent == runtime
    assert len(str(elsewhere)) <= SOCKET_FOLDER_MAX
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700


def test_the_same_state_folder_is_found_again_and_another_is_not(tmp_path: Path, runtime: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    assert socket_folder(tmp_path / ("x" * 100), env) == socket_folder(tmp_path / ("x" * 100), env)
    assert socket_folder(tmp_path / ("x" * 100), env) != socket_folder(tmp_path / ("y" * 100), env)


def test_a_link_that_somebody_laid_there_is_refused(tmp_path: Path, runtime: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    folder = socket_folder(tmp_path / ("x" * 100), env)
    folder.rmdir()
    (tmp_path / "trap").mkdir()
    folder.symlink_to(tmp_path / "trap")
    with pytest.raises(StorageFailed, match="belongs to another user"):
        socket_folder(tmp_path / ("x" * 100), env)


def test_a_file_is_replaced_only_when_it_differs_and_is_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.map"
    assert [replace_file(path, "one"), replace_file(path, "one"), replace_file(path, "two")] == [True, False, True]
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a.map"]


def test_a_file_left_half_written_by_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "a.map.new").write_text("ha")
    assert replace_file(tmp_path / "a.map", "whole")
    assert (tmp_path / "a.map").read_text() == "whole"


def test_a_folder_that_is_missing_is_a_storage_failure(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot be written"):
        replace_file(tmp_path / "missing" / "a.map", "text")
