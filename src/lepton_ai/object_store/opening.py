"""Opens the store that a target names, and speaks of objects by their names in the bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lepton_ai.errors import Conflict, InvalidInput, NotFound, StorageFailed, Unavailable
from lepton_ai.types.bucket import StoreKind, StoreTarget, check_object_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obstore import GetOptions, ObjectMeta
    from obstore.store import LocalStore, S3Store

PARTS_AT_ONCE = 4  # parts of one object on their way: 4 x 8 MiB in memory
WAITS_FOR = timedelta(seconds=60)  # a store that is away for so long is waited for
RETRIES_MAX = 12
DELETED_AT_ONCE = 1000  # what S3 takes in one request
LIST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a store tells of an object: nothing of it is authenticated."""

    name: str
    sealed_bytes: int
    modified_at: datetime
    e_tag: str


class Fetched(NamedTuple):
    """The first bytes of an object, and what the store tells of it."""

    content: memoryview
    about: StoredObject


class OpenStore:
    """The objects of one bucket, sealed as they lie there. Safe for any number of threads."""

    def __init__(self, target: StoreTarget) -> None:
        """Raise Unavailable if the store lies on another machine."""
        self._store = _open(target)
        self._prefix = f"{target.prefix}/"
        self._is_local = target.kind is StoreKind.LOCAL

    def put(self, name: str, sealed: bytearray | Iterable[memoryview]) -> None:
        """Store an object, whole or not at all, in place of the one of that name."""
        import obstore

        with _translated(name):
            if isinstance(sealed, bytearray):
                obstore.put(self._store, self._key(name), sealed, use_multipart=False)
            else:
                size = 8 * 1024 * 1024
                obstore.put(self._store, self._key(name), sealed, chunk_size=size, max_concurrency=PARTS_AT_ONCE)

    def put_new(self, name: str, sealed: bytearray) -> None:
        """Store an object, whole or not at all, unless there is one of that name; then raises Conflict."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _translated(name):
            try:
                obstore.put(self._store, self._key(name), sealed, use_multipart=False, mode="create")
            except AlreadyExistsError:
                raise Conflict(f"There is an object {name[:200]!r} already.", hint="Take another name.") from None

    def get_first(self, name: str, bytes_max: int) -> Fetched:
        """Return the first bytes of an object; raises NotFound."""
        import obstore

        with _translated(name):
            got = obstore.get(self._store, self._key(name), options={"range": (0, bytes_max)})
            return Fetched(memoryview(got.bytes()), self._about(got.meta))

    def get_range(self, about: StoredObject, start: int, end: int) -> memoryview:
        """Return a range of that very version; raises Conflict if another has taken its place."""
        import obstore

        with _translated(about.name):
            wanted: GetOptions = {"range": (start, end)}
            if about.e_tag:
                wanted["if_match"] = about.e_tag
            got = obstore.get(self._store, self._key(about.name), options=wanted)
            return memoryview(got.bytes())

    def each(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose names begin with `prefix`, in the order of names."""
        import obstore

        # Stores list by whole folders; what remains of the prefix is compared here.
        folder = prefix.rpartition("/")[0]
        place = f"{self._prefix}{folder}" if folder else self._prefix.rstrip("/")
        with _translated(prefix):
            found: Iterator[Sequence[ObjectMeta]] = obstore.list(self._store, place, chunk_size=LIST_PAGE)
            for page in found:
                for one in page:
                    about = self._about(one)
                    if about.name.startswith(prefix):
                        yield about

    def list_folder(self, prefix: str) -> tuple[list[str], list[StoredObject]]:
        """Return the folders (each with `/` at its end) and the objects right under `prefix`: empty, or with `/`."""
        import obstore

        with _translated(prefix):
            found = obstore.list_with_delimiter(self._store, f"{self._prefix}{prefix}".rstrip("/"))
        folders = [f"{path.removeprefix(self._prefix)}/" for path in found["common_prefixes"]]
        return sorted(folders), [self._about(one) for one in found["objects"]]

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are no trouble."""
        import obstore

        for start in range(0, len(names), DELETED_AT_ONCE):
            keys = [self._key(name) for name in names[start : start + DELETED_AT_ONCE]]
            with _translated(names[start]):
                try:
                    obstore.delete(self._store, keys)
                except FileNotFoundError:  # a folder stops at the first that is missing
                    for key in keys:
                        _delete_one(self._store, key)

    def _key(self, name: str) -> str:
        try:
            return self._prefix + check_object_name(name)
        except ValueError as error:
            raise InvalidInput(f"This cannot name an object: {error}.") from error

    def _about(self, meta: ObjectMeta) -> StoredObject:
        name = meta["path"].removeprefix(self._prefix)
        return StoredObject(name, meta["size"], meta["last_modified"], meta["e_tag"] or "")


def _delete_one(store: LocalStore | S3Store, key: str) -> None:
    import obstore

    try:
        obstore.delete(store, key)
    except FileNotFoundError:
        return


def _open(target: StoreTarget) -> LocalStore | S3Store:
    from obstore.store import LocalStore, S3Store

    if target.kind is StoreKind.LOCAL:
        if not Path(target.location).is_dir():
            raise Unavailable(
                f"The objects of this platform lie in the folder {target.location} of its own machine.",
                hint="Run this there, or in a job.",
            )
        return LocalStore(target.location, automatic_cleanup=True)
    return S3Store(
        target.s3_bucket,
        endpoint=target.location,
        region=target.region or "us-east-1",
        access_key_id=target.access_key_id,
        secret_access_key=target.secret_access_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": target.location.startswith("http://"), "timeout": "10m"},
        retry_config={"max_retries": RETRIES_MAX, "retry_timeout": WAITS_FOR},
    )


@contextmanager
def _translated(name: str) -> Iterator[None]:
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, PreconditionError

    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise NotFound(f"There is no object {name[:200]!r} in this bucket.", hint="See: lepton storage ls") from None
    except PreconditionError:
        raise Conflict(f"The object {name[:200]!r} was replaced while it was read.", hint="Read it again.") from None
    except PermissionDeniedError as error:
        raise StorageFailed(f"The store refuses {name[:200]!r}: {_line(error)}.", hint="See: lepton doctor") from error
    except BaseError as error:
        raise StorageFailed(
            f"The store cannot take or give {name[:200]!r}: {_line(error)}.", hint="See: lepton status, lepton doctor"
        ) from error


def _line(error: Exception) -> str:
    """Return the first line of what obstore says; the others are the innards of its error in Rust."""
    return str(error).strip().partition("\n")[0][:300].rstrip(".")
