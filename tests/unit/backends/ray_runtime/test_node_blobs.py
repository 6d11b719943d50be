"""Bundles on a node: the core's own store first, then what was fetched, and no more of it than the bound."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lepton_ai.backends.blobs import BlobStore
from lepton_ai.backends.ray_runtime.node_blobs import IN_USE_SECONDS, NodeBlobs
from lepton_ai.errors import InvalidInput, NotFound


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def make(folder: Path, *, kept_bytes_max: int = 10**9) -> NodeBlobs:
    return NodeBlobs(folder / "fetched", folder / "core", kept_bytes_max=kept_bytes_max)


def test_what_was_fetched_and_what_the_core_has_on_this_machine_are_both_there(tmp_path: Path) -> None:
    blobs = make(tmp_path)
    BlobStore(tmp_path / "core").put(digest_of(b"core"), [b"core"], bytes_max=10)
    blobs.put(digest_of(b"fetched"), b"fetched")

    assert [blobs.has(digest_of(content)) for content in (b"core", b"fetched", b"other")] == [True, True, False]
    assert [blobs.open(digest_of(content)).read() for content in (b"core", b"fetched")] == [b"core", b"fetched"]
    with pytest.raises(NotFound):
        blobs.open(digest_of(b"other"))


def test_content_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        make(tmp_path).put(digest_of(b"this"), b"that")


def test_beyond_the_bound_the_least_recently_used_go_but_none_of_the_last_hour(tmp_path: Path) -> None:
    blobs = make(tmp_path, kept_bytes_max=8)
    for age, content in ((3, b"old."), (2, b"used"), (1, b"late")):
        blobs.put(digest_of(content), content)
        path = BlobStore(tmp_path / "fetched").path(digest_of(content))
        used = path.stat().st_mtime - age * (IN_USE_SECONDS + 60)
        os.utime(path, (used, used))
    assert blobs.has(digest_of(b"used"))

    blobs.put(digest_of(b"new."), b"new.")

    kept = [blobs.has(digest_of(content)) for content in (b"old.", b"used", b"late", b"new.")]
    assert kept == [False, True, False, True]
