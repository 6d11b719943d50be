"""Copies files and objects between this machine and buckets: what goes where is settled first, then much at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Protocol

from lepton_ai.errors import InvalidInput, NotFound
from lepton_ai.sdk.bucket_handle import BucketHandle

SCHEME = "bucket://"
AT_ONCE = 8  # small objects are bound by round trips; large ones have four parts or ranges each under way
LISTED_MAX = 1_000_000  # 1,000,000 x 300 bytes = 300 MB of plan


class Buckets(Protocol):
    """Where buckets are held: `LeptonAI`."""

    def bucket(self, name: str) -> BucketHandle:
        """Return one bucket."""


@dataclass(frozen=True, slots=True)
class Address:
    """`bucket://BUCKET/NAME`; without a name, or with one that ends with `/`, it stands for what lies below."""

    bucket: str
    name: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.name}"

    @property
    def is_folder(self) -> bool:
        return self.name == "" or self.name.endswith("/")


Place = Address | Path


@dataclass(frozen=True, slots=True)
class Copy:
    """One file or object to copy. `size` is what is known of it beforehand."""

    source: Place
    target: Place
    size: int


def parse_place(text: str) -> Place:
    """Return what `text` names: an object of a bucket, or a file of this machine; raises InvalidInput."""
    if not text.startswith(SCHEME):
        return Path(text)
    bucket, _, name = text.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise InvalidInput(f"{text!r} names no bucket.", hint=f"Write {SCHEME}BUCKET/NAME.")
    return Address(bucket, name)


def plan_copies(buckets: Buckets, source: Place, target: Place, *, recursive: bool) -> Sequence[Copy]:
    """Return what is to be copied; raises NotFound for nothing, InvalidInput for a folder if not `recursive`."""
    found = list(_below(buckets, source) if recursive else _single(source))
    if len(found) > LISTED_MAX:
        raise InvalidInput(f"There are more than {LISTED_MAX:,} objects below {source}.", hint="Copy parts of it.")
    if not found:
        raise NotFound(f"There is nothing below {source}.", hint=f"See: lepton storage ls {source}")
    return [Copy(one, _target(target, relative, recursive=recursive), size) for one, relative, size in found]


def still_missing(buckets: Buckets, copies: Sequence[Copy], target: Place) -> Sequence[Copy]:
    """Return the copies but those whose target is there already with the same size: what an earlier run left to do."""
    if isinstance(target, Address):
        listed = buckets.bucket(target.bucket).list(target.name)
        sizes: dict[Place, int] = {Address(target.bucket, entry.name): entry.size for entry in listed}
    else:
        files = [one.target for one in copies if isinstance(one.target, Path) and one.target.is_file()]
        sizes = {file: file.stat().st_size for file in files}
    return [one for one in copies if sizes.get(one.target) != one.size]


def carry_out(buckets: Buckets, copies: Iterable[Copy], told: Callable[[int], None]) -> None:
    """Make the copies, several at once; `told` hears of every so many bytes more. The first failure ends it.

    What was copied before stays, each object whole: `still_missing` tells the rest.
    """
    lock = Lock()

    def report(more: int) -> None:
        with lock:
            told(more)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy") as pool:
        try:
            for _ in pool.map(lambda one: _copy(buckets, one, report), copies):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _copy(buckets: Buckets, one: Copy, told: Callable[[int], None]) -> None:
    last = 0

    def progress(done: int, _size: int) -> None:
        nonlocal last
        told(done - last)
        last = done

    if isinstance(one.target, Address):
        bucket = buckets.bucket(one.target.bucket)
        if isinstance(one.source, Path):
            bucket.put(one.target.name, one.source, progress=progress)
        else:
            with buckets.bucket(one.source.bucket).open(one.source.name) as file:
                bucket.put(one.target.name, file.raw, progress=progress)  # type: ignore[arg-type]  # an ObjectFile
    elif isinstance(one.source, Address):
        buckets.bucket(one.source.bucket).download(one.source.name, one.target, progress=progress)
    else:
        raise InvalidInput(
            "Neither place is in a bucket.", hint=f"Write {SCHEME}BUCKET/NAME for one of them, or use cp."
        )


def _single(source: Place) -> Iterator[tuple[Place, str, int]]:
    """Yield the one file or object that `source` names; that an object is there shows when it is copied."""
    if isinstance(source, Address):
        if source.is_folder:
            raise InvalidInput(f"{source} stands for everything below it.", hint="Add --recursive.")
        yield source, PurePosixPath(source.name).name, 0
        return
    if source.is_dir():
        raise InvalidInput(f"{source} is a folder.", hint="Add --recursive.")
    if not source.exists():
        raise NotFound(f"There is no file {source}.", hint="See: ls")
    yield source, source.name, source.stat().st_size


def _below(buckets: Buckets, source: Place) -> Iterator[tuple[Place, str, int]]:
    """Yield every file or object below `source`, with its path relative to it."""
    if isinstance(source, Address):
        prefix = source.name if source.is_folder else f"{source.name}/"
        for entry in buckets.bucket(source.bucket).list(prefix):
            yield Address(source.bucket, entry.name), entry.name.removeprefix(prefix), max(0, entry.size)
        return
    if not source.is_dir():
        raise NotFound(f"There is no folder {source}.", hint="Leave --recursive out for a file.")
    for path in sorted(source.rglob("*")):
        if path.is_file():
            yield path, path.relative_to(source).as_posix(), path.stat().st_size


def _target(target: Place, relative: str, *, recursive: bool) -> Place:
    if isinstance(target, Path):
        return target / relative if recursive or target.is_dir() else target
    if recursive:
        return Address(target.bucket, f"{target.name.rstrip('/')}/{relative}".lstrip("/"))
    return Address(target.bucket, target.name + relative) if target.is_folder else target
