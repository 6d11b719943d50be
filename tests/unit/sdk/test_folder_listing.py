"""Which files of a folder are packed, and which are refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput, TooLarge
from lepton_ai.sdk.folder_listing import link_stays_inside, list_folder

MEGABYTE = 1024 * 1024


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def packed(folder: Path) -> list[str]:
    return [entry.path for entry in list_folder(folder, bytes_max=MEGABYTE).entries]


def test_history_compiled_files_and_our_own_state_stay_at_home_at_every_level(tmp_path: Path) -> None:
    make(tmp_path, "a.py", ".git/config", "sub/.git", "sub/__pycache__/a.pyc", "sub/b.py", ".lepton/token")

    assert packed(tmp_path) == ["a.py", "sub", "sub/b.py"]


def test_virtual_environments_stay_at_home_whatever_they_are_called(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "my env/pyvenv.cfg", "my env/bin/python")

    assert packed(tmp_path) == ["a.py"]


def test_a_folder_that_is_packed_itself_may_be_a_virtual_environment(tmp_path: Path) -> None:
    make(tmp_path, "pyvenv.cfg")

    assert packed(tmp_path) == ["pyvenv.cfg"]


def test_links_inside_are_kept_and_links_that_leave_are_skipped_and_named(tmp_path: Path) -> None:
    make(tmp_path, "sub/a")
    for name, target in {"in": "sub/a", "up": "../x", "absolute": "/etc/passwd", "sub/back": "../in"}.items():
        (tmp_path / name).symlink_to(target)

    listing = list_folder(tmp_path, bytes_max=MEGABYTE)

    assert {entry.path: entry.target for entry in listing.entries if entry.target} == {
        "in": "sub/a",
        "sub/back": "../in",
    }
    assert [skipped.path for skipped in listing.skipped] == ["absolute", "up"]
    assert "/etc/passwd" in listing.skipped[0].why


@pytest.mark.parametrize(
    ("path", "target", "is_inside"),
    [
        ("a", "b", True),
        ("a", ".", True),
        ("a/b", "..", True),
        ("a/b/c", "../../d", True),
        ("a/b", "../../d", False),
        ("a", "..", False),
        ("a", "b/../c", False),  # `b` may be a link itself, so that `b/..` is somewhere else
        ("a", "/b", False),
    ],
)
def test_a_link_may_climb_only_real_folders(path: str, target: str, *, is_inside: bool) -> None:
    assert link_stays_inside(path, target) is is_inside


def test_sockets_and_pipes_are_skipped_and_named(tmp_path: Path) -> None:
    make(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))

    listing = list_folder(tmp_path, bytes_max=MEGABYTE)

    assert [entry.path for entry in listing.entries] == ["a"]
    assert [skipped.path for skipped in listing.skipped] == ["pipe", "socket"]


def test_too_many_bytes_are_refused_with_total_limit_the_ten_largest_and_the_next_step(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"file{number:02}").write_bytes(bytes(10_000 * (number + 1)))

    with pytest.raises(TooLarge) as refusal:
        list_folder(tmp_path, bytes_max=100_000)

    message = refusal.value.message
    assert "packs to 790 kB in 12 files" in message
    assert "may hold 100 kB" in message
    assert message.count("\n  ") == 10
    assert message.index("file11") < message.index("file02")
    assert "file01" not in message
    assert ".leptonignore" in refusal.value.hint


def test_a_gigantic_tree_is_refused_without_being_walked_to_its_end(tmp_path: Path) -> None:
    make(tmp_path, *(f"d{number:02}/f{inner}" for number in range(20) for inner in range(20)))

    with pytest.raises(TooLarge, match="more than 50 files and folders"):
        list_folder(tmp_path, bytes_max=MEGABYTE, entries_max=50)


def test_something_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a folder"):
        list_folder(tmp_path / "missing", bytes_max=MEGABYTE)


def test_a_very_deep_folder_is_refused_rather_than_ending_in_a_recursion_error(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["d"] * 140)
    deep.mkdir(parents=True)

    with pytest.raises(InvalidInput, match="128 folders deep"):
        list_folder(tmp_path, bytes_max=MEGABYTE)
