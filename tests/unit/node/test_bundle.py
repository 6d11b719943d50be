"""The node's cache of unpacked bundles."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from lepton_ai.errors import InvalidInput, NotFound, StorageFailed
from lepton_ai.node.bundle import BundleCache
from lepton_ai.node.file_lock import locked
from lepton_ai.sdk.bundle import pack


class Blobs:
    """Bundles in memory, counting how often each is read."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.opened: list[str] = []

    def add(self, files: Mapping[str, bytes]) -> str:
        bundle = pack(None, bytes_max=10**7, extra=files)
        self.content[bundle.digest] = b"".join(bundle.chunks())
        return bundle.digest

    def open(self, digest: str) -> BinaryIO:
        self.opened.append(digest)
        if digest not in self.content:
            raise NotFound(f"The blob {digest} is not stored here.")
        return io.BytesIO(self.content[digest])


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


def test_each_replica_gets_a_copy_of_its_own_and_the_bundle_is_unpacked_once(tmp_path: Path, blobs: Blobs) -> None:
    cache = BundleCache(tmp_path / "cache", blobs.open)
    digest = blobs.add({"a": b"1", "sub/b": b"2"})

    cache.copy_into(digest, tmp_path / "first")
    (tmp_path / "first" / "a").write_text("changed")
    cache.copy_into(digest, tmp_path / "second")

    assert (tmp_path / "second" / "a").read_text() == "1"
    assert (tmp_path / "second" / "sub" / "b").read_text() == "2"
    assert blobs.opened == [digest]


def test_many_at_once_unpack_once(tmp_path: Path, blobs: Blobs) -> None:
    digest = blobs.add({f"f{number}": bytes(1000) for number in range(50)})
    caches = [BundleCache(tmp_path / "cache", blobs.open) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: caches[number].copy_into(digest, tmp_path / f"r{number}"), range(8)))

    assert blobs.opened == [digest]
    assert [len(list((tmp_path / f"r{number}").iterdir())) for number in range(8)] == [50] * 8


def test_the_least_recently_used_bundle_goes_when_the_cache_is_full(tmp_path: Path, blobs: Blobs) -> None:
    cache = BundleCache(tmp_path / "cache", blobs.open, bytes_max=2500)
    first, second, third = (blobs.add({"a": bytes(1000), name: b""}) for name in ("1", "2", "3"))
    for number, digest in enumerate((first, second)):
        cache.copy_into(digest, tmp_path / "work")
        os.utime(tmp_path / "cache" / digest.removeprefix("sha256:") / "bytes", (number, number))
    cache.copy_into(first, tmp_path / "work")

    cache.copy_into(third, tmp_path / "work")

    assert cache.names() == (first.removeprefix("sha256:"), third.removeprefix("sha256:"))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(
        [*cache.names(), *(f"{name}.lock" for name in cache.names())]
    )


def test_a_bundle_that_is_being_copied_is_never_removed(tmp_path: Path, blobs: Blobs) -> None:
    cache = BundleCache(tmp_path / "cache", blobs.open, bytes_max=1500)
    first, second = (blobs.add({"a": bytes(1000), name: b""}) for name in ("1", "2"))
    cache.copy_into(first, tmp_path / "work")

    with locked(tmp_path / "cache" / f"{first.removeprefix('sha256:')}.lock", shared=True):
        cache.copy_into(second, tmp_path / "work")
        held = cache.names()

    assert first.removeprefix("sha256:") in held


def test_a_bundle_that_must_not_be_unpacked_leaves_nothing_in_the_cache(tmp_path: Path, blobs: Blobs) -> None:
    cache = BundleCache(tmp_path / "cache", blobs.open)
    digest = blobs.add({"../evil": b"x"})

    with pytest.raises(InvalidInput, match="leaves the folder"):
        cache.copy_into(digest, tmp_path / "work")

    assert cache.names() == ()
    assert not (tmp_path / "evil").exists()


def test_a_bundle_that_is_not_stored_is_not_found(tmp_path: Path, blobs: Blobs) -> None:
    with pytest.raises(NotFound):
        BundleCache(tmp_path / "cache", blobs.open).copy_into("sha256:" + "0" * 64, tmp_path / "work")


def test_a_new_cache_removes_what_a_dead_process_left(tmp_path: Path, blobs: Blobs) -> None:
    (tmp_path / "cache" / "abc.partial-1" / "tree").mkdir(parents=True)

    cache = BundleCache(tmp_path / "cache", blobs.open)

    assert cache.names() == ()
    assert not (tmp_path / "cache" / "abc.partial-1").exists()


def test_a_working_directory_that_cannot_be_made_fails_with_its_path(tmp_path: Path, blobs: Blobs) -> None:
    cache = BundleCache(tmp_path / "cache", blobs.open)
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageFailed, match="file/work"):
        cache.copy_into(blobs.add({"a": b"1"}), tmp_path / "file" / "work")
