"""The content-addressed store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lepton_ai.backends.blobs import BlobStore
from lepton_ai.errors import InvalidInput, NotFound, StorageFailed, TooLarge

LIMIT = 1024 * 1024


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_put_can_be_read_back_and_deleted(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")

    size = store.put(digest_of(b"hello"), [b"he", b"llo"], bytes_max=LIMIT)

    assert size == 5
    assert store.has(digest_of(b"hello"))
    with store.open(digest_of(b"hello")) as file:
        assert file.read() == b"hello"
    assert list(store.digests()) == [digest_of(b"hello")]
    store.delete(digest_of(b"hello"))
    store.delete(digest_of(b"hello"))
    assert not store.has(digest_of(b"hello"))


def test_content_with_another_digest_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)

    with pytest.raises(InvalidInput, match="cut or altered"):
        store.put(digest_of(b"hello"), [b"hallo"], bytes_max=LIMIT)

    assert files_in(tmp_path) == []


def test_more_than_the_limit_is_refused_before_it_is_read_to_its_end(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(LIMIT // 4)

    with pytest.raises(TooLarge, match="larger than"):
        store.put(digest_of(b""), endless(), bytes_max=LIMIT)

    assert len(taken) == 5
    assert files_in(tmp_path) == []


def test_a_sender_that_breaks_off_keeps_its_own_error_and_leaves_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)

    def broken() -> Iterator[bytes]:
        yield b"he"
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        store.put(digest_of(b"hello"), broken(), bytes_max=LIMIT)

    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "a" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 64 + "\n"],
)
def test_a_name_that_is_not_a_digest_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="not a digest"):
        BlobStore(tmp_path).path(name)


def test_a_blob_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not stored here"):
        BlobStore(tmp_path).open(digest_of(b"hello"))


def test_many_at_once_may_put_the_same_blob(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    stores = [BlobStore(tmp_path) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda store: store.put(digest_of(content), [content], bytes_max=LIMIT), stores))

    assert sizes == [len(content)] * 8
    assert [path.read_bytes() for path in files_in(tmp_path)] == [content]


def test_a_new_store_removes_what_a_dead_process_left_and_spares_what_is_being_written(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    (tmp_path / "incoming" / "leftover").write_bytes(b"half")

    with store.receive(digest_of(b"hello"), bytes_max=LIMIT) as writer:
        writer.write(b"hello")
        BlobStore(tmp_path)

    assert [path.name for path in files_in(tmp_path)] == [digest_of(b"hello").removeprefix("sha256:")]


def test_a_folder_that_cannot_be_made_fails_with_its_path_and_the_free_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageFailed, match=r"file/blobs.*free there"):
        BlobStore(tmp_path / "file" / "blobs")
