"""Objects go in and come out as they were, sealed in between; what was spoilt in the store never comes out."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton_ai.errors import Conflict, Forbidden, IntegrityFailed, InvalidInput, LeptonError, NotFound
from lepton_ai.sdk.bucket_handle import BucketHandle
from lepton_ai.sdk.client import LeptonAI
from lepton_ai.types.identity import Role
from tests.unit.sdk.live_platform import LivePlatform

MIB = 1024 * 1024
LARGE = os.urandom(1000) * (20 * MIB // 1000) + b"end"  # three parts up, three ranges down


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[LivePlatform]:
    made = LivePlatform(tmp_path / "home")
    made.client_of().buckets.create("data")
    yield made
    made.close()


@pytest.fixture
def bucket(platform: LivePlatform) -> BucketHandle:
    return platform.client_of().bucket("data")


def stored(platform: LivePlatform, name: str) -> Path:
    """Return the file in which the store keeps an object."""
    (found,) = [path for path in (platform.settings.home / "objects").glob(f"*/*/{name}") if path.is_file()]
    return found


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * MIB, LARGE], ids=["empty", "small", "one segment", "large"])
def test_what_is_put_can_be_got(bucket: BucketHandle, content: bytes) -> None:
    bucket.put("folder/object", content)
    assert bucket.get("folder/object") == content


def test_files_go_up_and_come_down(bucket: BucketHandle, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    told: list[tuple[int, int]] = []
    bucket.put("object", source, progress=lambda done, size: told.append((done, size)))
    assert bucket.download("object", tmp_path / "deep" / "target") == len(LARGE)
    assert (tmp_path / "deep" / "target").read_bytes() == LARGE
    assert told[-1] == (len(LARGE), len(LARGE))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["target"]


def test_a_stream_of_unknown_length_is_stored(bucket: BucketHandle) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"from a pipe")
    with os.fdopen(reading, "rb") as file:
        bucket.put("object", file)
    assert bucket.get("object") == b"from a pipe"


def test_what_lies_in_the_store_holds_nothing_of_the_content(bucket: BucketHandle, platform: LivePlatform) -> None:
    bucket.put("object", b"tell nobody" * 1000)
    assert b"tell nobody" not in stored(platform, "object").read_bytes()


def test_a_thousand_objects_take_two_requests_to_the_core(bucket: BucketHandle, platform: LivePlatform) -> None:
    platform.asked.clear()
    for number in range(50):
        bucket.put(f"object-{number}", b"content")
        assert bucket.get(f"object-{number}") == b"content"
    assert len(platform.asked) <= 2


def test_another_client_asks_for_each_key_once(bucket: BucketHandle, platform: LivePlatform) -> None:
    for number in range(20):
        bucket.put(f"object-{number}", b"content")
    other = platform.client_of().bucket("data")
    platform.asked.clear()
    assert [other.get(f"object-{number}") for number in range(20)] == [b"content"] * 20
    assert len(platform.asked) == 2


def test_a_file_in_a_bucket_can_be_read_anywhere(bucket: BucketHandle) -> None:
    bucket.put("object", LARGE)
    with bucket.open("object") as file:
        assert file.seek(-3, io.SEEK_END) == len(LARGE) - 3
        assert file.read() == b"end"
        file.seek(5 * MIB - 7)
        assert file.read(20) == LARGE[5 * MIB - 7 : 5 * MIB + 13]
        file.seek(0)
        assert file.read() == LARGE
        assert file.read() == b""


def test_objects_are_listed_with_the_size_of_their_content(bucket: BucketHandle) -> None:
    for name in ("a/1", "a/2", "ab", "b/c/3"):
        bucket.put(name, name.encode())
    assert sorted(entry.name for entry in bucket.list("a")) == ["a/1", "a/2", "ab"]
    assert {entry.name: entry.size for entry in bucket.list()} == {"a/1": 3, "a/2": 3, "ab": 2, "b/c/3": 5}
    folders, entries = bucket.list_folder("")
    assert (folders, [entry.name for entry in entries]) == (["a/", "b/"], ["ab"])


def test_deleted_objects_are_gone_and_deleting_again_is_no_trouble(bucket: BucketHandle) -> None:
    bucket.put("a", b"1")
    bucket.put("b", b"2")
    bucket.delete("a", "missing", "b")
    bucket.delete("a")
    assert list(bucket.list()) == []
    with pytest.raises(NotFound, match="There is no object 'a'"):
        bucket.get("a")


@pytest.mark.parametrize("name", ["../other", "a\0b", "x" * 10_000, "", "/etc/passwd"])
def test_names_that_lead_elsewhere_are_refused(bucket: BucketHandle, name: str) -> None:
    for use in (lambda: bucket.put(name, b""), lambda: bucket.get(name), lambda: bucket.delete(name)):
        with pytest.raises(InvalidInput, match="cannot name an object"):
            use()


def test_a_name_below_an_object_is_refused_in_words(bucket: BucketHandle) -> None:
    bucket.put("a", b"1")
    with pytest.raises(LeptonError, match="'a/b'"):
        bucket.put("a/b", b"2")
    assert bucket.get("a") == b"1"


def test_another_version_than_the_one_asked_for_is_not_passed_off_as_it(bucket: BucketHandle) -> None:
    older = bucket.put("object", b"older")
    assert bucket.get("object", version=older) == b"older"
    bucket.put("object", b"newer")
    with pytest.raises(Conflict, match=f"not {older}"):
        bucket.get("object", version=older)


def test_an_older_version_that_was_put_back_is_found_out_by_who_knows_the_version(
    bucket: BucketHandle, platform: LivePlatform
) -> None:
    bucket.put("object", b"older")
    kept = stored(platform, "object").read_bytes()
    newer = bucket.put("object", b"newer")
    stored(platform, "object").write_bytes(kept)
    with pytest.raises(Conflict):
        bucket.get("object", version=newer)


def test_an_object_that_was_spoilt_moved_or_cut_never_comes_out(
    bucket: BucketHandle, platform: LivePlatform, tmp_path: Path
) -> None:
    bucket.put("object", LARGE)
    bucket.put("other", LARGE)
    sealed = stored(platform, "object").read_bytes()
    middle = len(sealed) // 2
    flipped = sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :]
    cut = sealed[: 160 + 2 * (MIB + 16)]
    for spoilt in (flipped, cut, stored(platform, "other").read_bytes(), b"never sealed", b"", sealed[:100]):
        stored(platform, "object").write_bytes(spoilt)
        with pytest.raises((IntegrityFailed, LeptonError)):
            bucket.get("object")
        with pytest.raises((IntegrityFailed, LeptonError)):
            bucket.download("object", tmp_path / "target")
        assert not list(tmp_path.glob("*target*"))


def test_a_file_that_was_cut_is_refused_before_a_byte_of_it_is_read(
    bucket: BucketHandle, platform: LivePlatform
) -> None:
    bucket.put("object", LARGE)
    sealed = stored(platform, "object").read_bytes()
    stored(platform, "object").write_bytes(sealed[: 160 + 2 * (MIB + 16)])
    with pytest.raises(IntegrityFailed):
        bucket.open("object")


def test_an_object_of_another_bucket_or_project_does_not_open(platform: LivePlatform) -> None:
    platform.project("vision")
    clients = [platform.client_of(), platform.client_of(), platform.client_of(project="vision")]
    clients[1].buckets.create("more")
    clients[2].buckets.create("data")
    buckets = [client.bucket(name) for client, name in zip(clients, ("data", "more", "data"), strict=True)]
    for bucket in buckets:
        bucket.put("object", b"ours")
    files = sorted((platform.settings.home / "objects").glob("*/*/object"))
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    for bucket in buckets:
        with pytest.raises(IntegrityFailed, match="changed or moved"):
            bucket.get("object")


def test_who_may_only_read_reads_and_changes_nothing(bucket: BucketHandle, platform: LivePlatform) -> None:
    bucket.put("object", b"content")
    viewer = platform.client_of(platform.user("vi", {"default": Role.VIEWER})).bucket("data")
    assert viewer.get("object") == b"content"
    for change in (lambda: viewer.put("object", b""), lambda: viewer.delete("object")):
        with pytest.raises(Forbidden, match=r"'vi' may not do 'bucket\.write'"):
            change()


def test_objects_stay_readable_after_a_rotation(bucket: BucketHandle, platform: LivePlatform) -> None:
    bucket.put("older", b"1")
    client = platform.client_of()
    assert client.buckets.rotate_key() == 2
    client.bucket("data").put("newer", b"2")
    fresh = platform.client_of().bucket("data")
    assert (fresh.get("older"), fresh.get("newer")) == (b"1", b"2")


def test_a_bucket_that_was_made_anew_holds_nothing_of_the_old_one(platform: LivePlatform) -> None:
    client = platform.client_of()
    client.bucket("data").put("object", b"older")
    client.buckets.delete("data")
    await_end_of("data", client, platform)
    client.buckets.create("data")
    assert list(client.bucket("data").list()) == []
    client.bucket("data").put("object", b"newer")
    assert client.bucket("data").get("object") == b"newer"


def test_a_missing_bucket_is_named(platform: LivePlatform) -> None:
    with pytest.raises(NotFound, match="There is no bucket 'nowhere'"):
        platform.client_of().bucket("nowhere").put("object", b"")


def test_a_file_that_is_not_there_stores_nothing(bucket: BucketHandle, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        bucket.put("object", tmp_path / "missing")
    assert list(bucket.list()) == []


def test_a_source_that_breaks_off_stores_nothing(bucket: BucketHandle) -> None:
    bucket.put("object", b"whole")
    with pytest.raises(OSError, match="broke off"):
        bucket.put("object", io.BufferedReader(Breaking(20 * MIB)))
    assert bucket.get("object") == b"whole"


def await_end_of(name: str, client: LeptonAI, platform: LivePlatform) -> None:
    """Let the loop and the thread that empties buckets work until the bucket is gone."""
    deadline = time.monotonic() + 60
    while name in [bucket.name for bucket in client.buckets.each()] and time.monotonic() < deadline:
        platform.settle()
        time.sleep(0.02)


class Breaking(io.RawIOBase):
    """A file that breaks off."""

    def __init__(self, after: int) -> None:
        self._left = after

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower than any writable buffer
        self._left -= len(buffer)
        if self._left < 0:
            raise OSError("the line broke off")
        return len(buffer)
