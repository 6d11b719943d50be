"""Packing a working directory."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput, TooLarge
from lepton_ai.sdk.bundle import Bundle, pack

MEGABYTE = 1024 * 1024


def content_of(bundle: Bundle) -> bytes:
    return b"".join(bundle.chunks())


def members_of(bundle: Bundle) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content_of(bundle)), mode="r:") as archive:
        return {member.name: member for member in archive}


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_same_files_give_the_same_digest_whatever_their_order_times_and_modes(tmp_path: Path) -> None:
    first = write(tmp_path / "first", a="1", b="2")
    second = write(tmp_path / "second", b="2", a="1")
    os.utime(second / "a", (1, 1))
    (second / "b").chmod(0o600)

    assert pack(first, bytes_max=MEGABYTE).digest == pack(second, bytes_max=MEGABYTE).digest


@pytest.mark.parametrize("change", ["content", "name", "executable", "folder"])
def test_any_change_gives_another_digest(tmp_path: Path, change: str) -> None:
    folder = write(tmp_path / "code", a="1")
    before = pack(folder, bytes_max=MEGABYTE).digest
    changes: dict[str, Callable[[], object]] = {
        "content": lambda: (folder / "a").write_text("2"),
        "name": lambda: (folder / "a").rename(folder / "b"),
        "executable": lambda: (folder / "a").chmod(0o755),
        "folder": (folder / "empty").mkdir,
    }

    changes[change]()

    assert pack(folder, bytes_max=MEGABYTE).digest != before


def test_the_digest_is_the_sha256_of_the_tar_file_and_the_size_is_its_length(tmp_path: Path) -> None:
    bundle = pack(write(tmp_path / "code", a="1"), bytes_max=MEGABYTE)

    content = content_of(bundle)

    assert bundle.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert bundle.size_bytes == len(content)


def test_the_standard_tar_reader_finds_every_file_folder_link_and_mode(tmp_path: Path) -> None:
    long = "x" * 200
    folder = write(tmp_path / "code", **{"a.py": "print()", f"deep/{long}/b.txt": "b", "run.sh": "#!/bin/sh"})
    (folder / "run.sh").chmod(0o700)
    (folder / "link").symlink_to(f"deep/{long}/b.txt")

    members = members_of(pack(folder, bytes_max=MEGABYTE))

    assert sorted(members) == ["a.py", "deep", f"deep/{long}", f"deep/{long}/b.txt", "link", "run.sh"]
    assert members["run.sh"].mode == 0o755
    assert members["a.py"].mode == 0o644
    assert members["link"].linkname == f"deep/{long}/b.txt"
    assert {(member.mtime, member.uid, member.gid) for member in members.values()} == {(0, 0, 0)}


def test_a_name_that_is_not_utf_8_is_packed(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9")
    (folder / name).write_text("x")

    assert pack(folder, bytes_max=MEGABYTE).files == (name,)


def test_a_large_file_is_packed_whole_and_can_be_read_twice(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    weights = os.urandom(3 * MEGABYTE + 7)
    (folder / "weights").write_bytes(weights)

    with pack(folder, bytes_max=10 * MEGABYTE) as bundle:
        first, second = content_of(bundle), content_of(bundle)

    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.extractfile("weights").read() == weights  # type: ignore[union-attr]


def test_extra_files_are_added_and_need_no_folder() -> None:
    bundle = pack(None, bytes_max=MEGABYTE, extra={".lepton/call": b"payload"})

    assert bundle.files == (".lepton/call",)
    assert b"payload" in content_of(bundle)


def test_an_extra_file_never_replaces_one_of_the_user(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", call="mine")

    with pytest.raises(InvalidInput, match="already holds call"):
        pack(folder, bytes_max=MEGABYTE, extra={"call": b"ours"})


def test_extra_files_that_go_beyond_the_limit_are_refused() -> None:
    with pytest.raises(TooLarge, match="beyond"):
        pack(None, bytes_max=2000, extra={"call": bytes(3000)})


def test_an_empty_folder_gives_an_empty_bundle(tmp_path: Path) -> None:
    bundle = pack(tmp_path, bytes_max=MEGABYTE)

    assert bundle.files == ()
    assert members_of(bundle) == {}
